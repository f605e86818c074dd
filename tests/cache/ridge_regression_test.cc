#include "cache/ridge_regression.h"

#include <array>
#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace sluice::cache {
namespace {

using Sample = std::array<float, 3>;

TEST(RidgeRegressionTest, NothingSeenKeepsTheStart) {
  const RidgeRegression<3> regression({1, -2, 0.5}, 10);
  const auto w = regression.Weights();
  EXPECT_DOUBLE_EQ(w[0], 1);
  EXPECT_DOUBLE_EQ(w[1], -2);
  EXPECT_DOUBLE_EQ(w[2], 0.5);
}

// y is 1 as often as 0.1 + 0.2 a + 0.6 b says.
TEST(RidgeRegressionTest, FindsTheWeightsOfWhatItSees) {
  RidgeRegression<3> regression({0, 0, 0}, 1);
  std::mt19937 random(1);
  const auto uniform = [&random] {
    return static_cast<float>(random() % 65536) / 65536;
  };
  for (int i = 0; i < 100000; ++i) {
    const Sample x = {1, uniform(), uniform()};
    regression.Add(x, uniform() < 0.1F + 0.2F * x[1] + 0.6F * x[2]);
  }
  const auto w = regression.Weights();
  EXPECT_NEAR(w[0], 0.1, 0.01);
  EXPECT_NEAR(w[1], 0.2, 0.01);
  EXPECT_NEAR(w[2], 0.6, 0.01);
}

// The gradient of what is minimised vanishes.
TEST(RidgeRegressionTest, SolvesTheNormalEquations) {
  const std::array<double, 3> start = {0.5, 0.25, -1};
  constexpr double kRidge = 3;
  RidgeRegression<3> regression(start, kRidge);
  const std::array<Sample, 4> xs = {
      {{1, 0, 2}, {0.5F, 1, 0}, {3, -1, 1}, {0, 0, 0}}};
  const std::array<bool, 4> ys = {true, false, true, true};
  for (std::size_t i = 0; i < xs.size(); ++i) regression.Add(xs[i], ys[i]);
  const auto w = regression.Weights();
  for (std::size_t k = 0; k < 3; ++k) {
    double gradient = kRidge * (w[k] - start[k]);
    for (std::size_t i = 0; i < xs.size(); ++i) {
      double error = ys[i] ? -1 : 0;
      for (std::size_t j = 0; j < 3; ++j) error += w[j] * double{xs[i][j]};
      gradient += error * double{xs[i][k]};
    }
    EXPECT_NEAR(gradient, 0, 1e-12);
  }
}

TEST(RidgeRegressionTest, WhatFadesGivesWay) {
  RidgeRegression<1> regression({0}, 1e-6);
  const std::array<float, 1> x = {1};
  for (int i = 0; i < 1000; ++i) regression.Add(x, true);
  EXPECT_NEAR(regression.Weights()[0], 1, 1e-6);
  regression.Fade(0.001);
  regression.Add(x, false);
  EXPECT_NEAR(regression.Weights()[0], 0.5, 1e-6);
}

TEST(RidgeRegressionTest, OneFeatureTwiceIsNoTrouble) {
  RidgeRegression<2> regression({0, 0}, 1e-3);
  const std::array<float, 2> x = {1, 1};
  for (int i = 0; i < 1000; ++i) regression.Add(x, true);
  const auto w = regression.Weights();
  EXPECT_NEAR(w[0], 0.5, 1e-3);
  EXPECT_NEAR(w[1], 0.5, 1e-3);
}

}  // namespace
}  // namespace sluice::cache
