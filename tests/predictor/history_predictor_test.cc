#include "predictor/history_predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

using ::testing::IsEmpty;

constexpr RouterShape kShape = {.layers = 2, .experts = 8, .experts_used = 2};
using Ids = std::vector<std::uint16_t>;

Ids Experts(const std::vector<Guess>& guesses) {
  Ids experts;
  for (const Guess& guess : guesses) experts.push_back(guess.expert);
  return experts;
}

TEST(PreviousPredictor, GuessesTheLastTokenOfTheSameLayer) {
  PreviousPredictor predictor(kShape);
  std::vector<Guess> guesses;
  predictor.Observe(0, Ids{4, 1});
  predictor.Observe(1, Ids{6, 7});
  predictor.Observe(0, Ids{2, 5});
  predictor.Predict(0, guesses);
  EXPECT_EQ(Experts(guesses), (Ids{2, 5}));
  predictor.Predict(1, guesses);
  EXPECT_EQ(Experts(guesses), (Ids{6, 7}));
}

// The first rank comes again always, the second never.
TEST(PreviousPredictor, ConfidenceDependsOnTheRank) {
  PreviousPredictor predictor(kShape);
  std::vector<Guess> guesses;
  for (std::uint16_t i = 0; i < 200; ++i) {
    predictor.Observe(0, Ids{3, static_cast<std::uint16_t>(4 + i % 4)});
  }
  predictor.Predict(0, guesses);
  ASSERT_EQ(guesses.size(), 2U);
  EXPECT_EQ(guesses[0].expert, 3);
  EXPECT_GT(guesses[0].confidence, 0.9F);
  EXPECT_LT(guesses[1].confidence, 0.1F);
}

TEST(FrequencyPredictor, RanksByFadingUses) {
  FrequencyPredictor predictor(kShape);
  std::vector<Guess> guesses;
  predictor.Predict(0, guesses);
  EXPECT_THAT(guesses, IsEmpty());
  for (int i = 0; i < 4; ++i) predictor.Observe(0, Ids{7, 6});
  predictor.Observe(0, Ids{7, 2});
  predictor.Predict(0, guesses);
  EXPECT_EQ(Experts(guesses), (Ids{7, 6, 2}));
  predictor.Predict(1, guesses);
  EXPECT_THAT(guesses, IsEmpty()) << "layers are counted apart";
  // What was frequent long ago is behind what is asked for now.
  for (int i = 0; i < 40; ++i) predictor.Observe(0, Ids{0, 1});
  predictor.Predict(0, guesses);
  EXPECT_EQ((Ids{guesses[0].expert, guesses[1].expert}), (Ids{0, 1}));
}

TEST(FrequencyPredictor, ConfidenceIsTheShareOfTokens) {
  FrequencyPredictor predictor(kShape);
  std::vector<Guess> guesses;
  for (std::uint16_t i = 0; i < 3000; ++i) {
    // 5 always, 0 to 3 every fourth time each.
    predictor.Observe(0, Ids{5, static_cast<std::uint16_t>(i % 4)});
  }
  predictor.Predict(0, guesses);
  ASSERT_EQ(guesses.size(), 5U);
  EXPECT_EQ(guesses[0].expert, 5);
  EXPECT_GT(guesses[0].confidence, 0.95F);
  float others = 0;
  for (std::size_t i = 1; i < 5; ++i) others += guesses[i].confidence;
  EXPECT_NEAR(others, 1.0F, 0.1F);
}

}  // namespace
}  // namespace sluice
