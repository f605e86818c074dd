#include "engine/chunk_guess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::ElementsAre;

std::vector<std::uint16_t> Experts(const std::vector<Guess>& guesses) {
  std::vector<std::uint16_t> experts;
  for (const Guess& guess : guesses) experts.push_back(guess.expert);
  return experts;
}

TEST(GuessChunk, RanksByHowManyTokensWantAnExpert) {
  // Three tokens, four experts, two used: {1, 3}, {3, 0}, {3, 1}.
  std::vector<float> scores = {0.1F, 0.5F, 0.0F, 0.4F,  //
                               0.3F, 0.0F, 0.1F, 0.6F,  //
                               0.0F, 0.4F, 0.1F, 0.5F};
  std::vector<Guess> guesses = {{.expert = 9, .confidence = 1}};
  GuessChunk({.layer = 1, .tokens = 3, .sampled = 3, .scores = scores}, 2,
             guesses);
  EXPECT_THAT(Experts(guesses), ElementsAre(3, 1, 0));
  EXPECT_GT(guesses[0].confidence, guesses[1].confidence);
  EXPECT_GT(guesses[1].confidence, guesses[2].confidence);
  EXPECT_LT(guesses[0].confidence, 1.0F);
}

TEST(GuessChunk, MoreTokensPerSampleMakeItSurer) {
  const std::vector<float> scores = {0.9F, 0.1F};
  std::vector<float> one = scores;
  std::vector<float> many = scores;
  std::vector<Guess> few_tokens;
  std::vector<Guess> many_tokens;
  GuessChunk({.tokens = 2, .sampled = 1, .scores = one}, 1, few_tokens);
  GuessChunk({.tokens = 8, .sampled = 1, .scores = many}, 1, many_tokens);
  ASSERT_EQ(few_tokens.size(), 1U);
  ASSERT_EQ(many_tokens.size(), 1U);
  EXPECT_GT(many_tokens[0].confidence, few_tokens[0].confidence);
}

TEST(GuessChunk, NoScoresNoGuesses) {
  std::vector<Guess> guesses = {{.expert = 9, .confidence = 1}};
  GuessChunk({.tokens = 8, .sampled = 4, .scores = {}}, 2, guesses);
  EXPECT_TRUE(guesses.empty());
}

}  // namespace
}  // namespace sluice
