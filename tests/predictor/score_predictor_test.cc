#include "predictor/score_predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr RouterShape kShape = {.layers = 4, .experts = 6, .experts_used = 1};
using Ids = std::vector<std::uint16_t>;
using Scores = std::vector<float>;

Ids Experts(const std::vector<Guess>& guesses) {
  Ids experts;
  for (const Guess& guess : guesses) experts.push_back(guess.expert);
  return experts;
}

TEST(ScorePredictor, RanksByScoreAndTiesByExpert) {
  ScorePredictor predictor(kShape, 1, 1);
  predictor.ObserveScores(1, 1, Scores{0.1F, 0.2F, 0.05F, 0.4F, 0.2F, 0.05F});
  std::vector<Guess> guesses;
  predictor.Predict(1, guesses);
  EXPECT_EQ(Experts(guesses), (Ids{3, 1, 4, 0}));  // four for each one used
}

TEST(ScorePredictor, GuessesOnlyWhatHasScores) {
  ScorePredictor predictor(kShape, 1, 2);
  std::vector<Guess> guesses;
  predictor.ObserveScores(2, 2, Scores{1, 2, 3, 4, 5, 6});
  predictor.Predict(1, guesses);
  EXPECT_THAT(guesses, IsEmpty());
  predictor.Predict(2, guesses);
  EXPECT_THAT(guesses, SizeIs(4));
  predictor.Observe(2, Ids{5});
  predictor.Predict(2, guesses);
  EXPECT_THAT(guesses, IsEmpty()) << "scores are of one token";
}

TEST(ScorePredictor, NearerScoresReplaceThoseFromFurtherAway) {
  ScorePredictor predictor(kShape, 1, 2);
  std::vector<Guess> guesses;
  predictor.ObserveScores(2, 2, Scores{1, 2, 3, 4, 5, 6});
  predictor.ObserveScores(2, 1, Scores{6, 5, 4, 3, 2, 1});
  predictor.Predict(2, guesses);
  EXPECT_EQ(Experts(guesses), (Ids{0, 1, 2, 3}));
}

TEST(ScorePredictor, EachDistanceHasItsOwnConfidence) {
  ScorePredictor predictor(kShape, 1, 2);
  const Scores far = {0.9F, 0.02F, 0.02F, 0.02F, 0.02F, 0.02F};
  const Scores near = {0.02F, 0.02F, 0.02F, 0.02F, 0.02F, 0.9F};
  for (int token = 0; token < 200; ++token) {  // the nearer ones are right
    predictor.ObserveScores(2, 2, far);
    predictor.ObserveScores(2, 1, near);
    predictor.Observe(2, Ids{5});
  }
  std::vector<Guess> guesses;
  predictor.ObserveScores(2, 2, far);
  predictor.Predict(2, guesses);
  EXPECT_LT(guesses[0].confidence, 0.2F);
  predictor.ObserveScores(2, 1, near);
  predictor.Predict(2, guesses);
  EXPECT_EQ(guesses[0].expert, 5);
  EXPECT_GT(guesses[0].confidence, 0.8F);
}

TEST(ScorePredictor, WantsTheDistancesThatItWasMadeFor) {
  const ScorePredictor two(kShape, 1, 2);
  EXPECT_FALSE(two.WantsScores(0));
  EXPECT_TRUE(two.WantsScores(1));
  EXPECT_TRUE(two.WantsScores(2));
  EXPECT_FALSE(two.WantsScores(3));
}

TEST(ScorePredictor, ExactGuessesWhatTheRouterPicksWithCertainty) {
  ScorePredictor predictor({.layers = 1, .experts = 6, .experts_used = 2}, 0,
                           0);
  std::vector<Guess> guesses;
  predictor.ObserveScores(0, 0, Scores{1, 2, 3, 4, 5, 6});
  predictor.Predict(0, guesses);
  ASSERT_EQ(Experts(guesses), (Ids{5, 4}));
  EXPECT_FLOAT_EQ(guesses[0].confidence, 1);
  EXPECT_FLOAT_EQ(guesses[1].confidence, 1);
}

// Scores of zero, as a softmax gives, have no logarithm.
TEST(ScorePredictor, TakesScoresOfZero) {
  ScorePredictor predictor(kShape, 1, 1);
  std::vector<Guess> guesses;
  predictor.ObserveScores(0, 1, Scores{0, 0, 1, 0, 0, 0});
  predictor.Predict(0, guesses);
  ASSERT_THAT(guesses, SizeIs(4));
  EXPECT_EQ(guesses[0].expert, 2);
  EXPECT_GT(guesses[0].confidence, guesses[1].confidence);
}

// A clear winner is right nine times in ten, a narrow one every other time:
// the confidence says which is which.
TEST(ScorePredictor, ConfidenceIsTheMeasuredShareOfScoresAsClear) {
  ScorePredictor predictor(kShape, 1, 1);
  std::mt19937 random(1);
  const auto step = [&](float first, unsigned right_in_ten) {
    predictor.ObserveScores(0, 1, Scores{first, 1, 0.01F, 0.01F, 0.01F, 0.01F});
    std::vector<Guess> guesses;
    predictor.Predict(0, guesses);
    predictor.Observe(0, Ids{random() % 10 < right_in_ten ? std::uint16_t{0}
                                                          : std::uint16_t{1}});
    return guesses[0];
  };
  Guess clear;
  Guess narrow;
  for (int i = 0; i < 2000; ++i) {
    clear = step(20, 9);
    narrow = step(1.05F, 5);
  }
  EXPECT_EQ(clear.expert, 0);
  EXPECT_NEAR(clear.confidence, 0.9F, 0.06F);
  EXPECT_NEAR(narrow.confidence, 0.5F, 0.06F);
}

}  // namespace
}  // namespace sluice
