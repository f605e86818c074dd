#include "predictor/predictor_score.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

constexpr RouterShape kShape = {.layers = 1, .experts = 8, .experts_used = 2};
using Ids = std::vector<std::uint16_t>;
using Guesses = std::vector<Guess>;

TEST(PredictorScore, IsZeroWithoutGuesses) {
  PredictorScore score(kShape);
  EXPECT_EQ(score.coverage(), 0);
  score.Count({}, Ids{1, 2});
  EXPECT_EQ(score.coverage(), 0);
  EXPECT_EQ(score.RecallAt(2), 0);
  EXPECT_EQ(score.PrecisionAt(0), 0);
  EXPECT_EQ(score.CalibrationError(), 0);
}

TEST(PredictorScore, CountsRecallAndPrecision) {
  PredictorScore score(kShape);
  score.Count(Guesses{{1, 0.9F}, {4, 0.8F}, {2, 0.1F}}, Ids{1, 2});
  score.Count(Guesses{{3, 0.9F}}, Ids{1, 3});
  score.Count({}, Ids{1, 3});
  EXPECT_DOUBLE_EQ(score.coverage(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(score.RecallAt(1), 2.0 / 4);
  EXPECT_DOUBLE_EQ(score.RecallAt(2), 2.0 / 4);
  EXPECT_DOUBLE_EQ(score.RecallAt(3), 3.0 / 4);
  EXPECT_DOUBLE_EQ(score.RecallAt(100), 3.0 / 4);
  EXPECT_DOUBLE_EQ(score.PrecisionAt(0), 1);
  EXPECT_DOUBLE_EQ(score.PrecisionAt(1), 0);
  EXPECT_DOUBLE_EQ(score.PrecisionAt(2), 1);
  EXPECT_DOUBLE_EQ(score.PrecisionAt(100), 0);
}

TEST(PredictorScore, MeasuresHowFarConfidenceIsOff) {
  PredictorScore sure(kShape);
  sure.Count(Guesses{{1, 1.0F}, {2, 1.0F}}, Ids{1, 2});
  EXPECT_DOUBLE_EQ(sure.CalibrationError(), 0);
  PredictorScore wrong(kShape);
  wrong.Count(Guesses{{1, 1.0F}, {2, 1.0F}}, Ids{3, 4});
  EXPECT_DOUBLE_EQ(wrong.CalibrationError(), 1);
  PredictorScore half(kShape);
  half.Count(Guesses{{1, 0.5F}, {2, 0.5F}}, Ids{1, 4});
  EXPECT_DOUBLE_EQ(half.CalibrationError(), 0);
}

}  // namespace
}  // namespace sluice
