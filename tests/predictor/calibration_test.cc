#include "predictor/calibration.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Calibration, BeginsWithThePrior) {
  const Calibration calibration(2, {0.25F, 0.75F});
  EXPECT_EQ(calibration.buckets(), 2U);
  EXPECT_FLOAT_EQ(calibration.Probability(0, 0), 0.25F);
  EXPECT_FLOAT_EQ(calibration.Probability(1, 1), 0.75F);
}

TEST(Calibration, ConvergesToTheFrequencyOfEachLayerAndBucket) {
  Calibration calibration(2, {0.5F, 0.5F});
  for (int i = 0; i < 2000; ++i) {
    calibration.Add(0, 0, i % 4 != 0);
    calibration.Add(0, 1, i % 10 == 0);
    calibration.Add(1, 0, i % 2 == 0);
  }
  EXPECT_NEAR(calibration.Probability(0, 0), 0.75F, 0.02F);
  EXPECT_NEAR(calibration.Probability(0, 1), 0.10F, 0.02F);
  EXPECT_NEAR(calibration.Probability(1, 0), 0.50F, 0.02F);
}

TEST(Calibration, LayerWithoutTrialsLeansOnTheOthers) {
  Calibration calibration(3, {0.1F});
  for (int i = 0; i < 1000; ++i) calibration.Add(i % 2, 0, true);
  EXPECT_GT(calibration.Probability(2, 0), 0.95F);
}

TEST(Calibration, FollowsAChange) {
  Calibration calibration(1, {0.5F});
  for (int i = 0; i < 5000; ++i) calibration.Add(0, 0, true);
  for (int i = 0; i < 2000; ++i) calibration.Add(0, 0, false);
  EXPECT_LT(calibration.Probability(0, 0), 0.05F);
}

}  // namespace
}  // namespace sluice
