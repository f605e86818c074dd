// When a guess is worth a read, and when guessing stops and is tried again.
#include "engine/prefetch_control.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr double kToken = 0.02;  // seconds

PrefetchControl WithWindow(double seconds) {
  PrefetchControl control;
  for (int i = 0; i < 100; ++i) control.ObserveWindow(1, seconds);
  return control;
}

TEST(PrefetchControl, WithinTheWindowALikelyGuessPays) {
  const PrefetchControl control = WithWindow(1e-3);
  EXPECT_TRUE(control.Pays(1, 0.41, 0, 1e-3));
  EXPECT_TRUE(control.Pays(1, 0.41, 0.5e-3, 0.5e-3));
  EXPECT_FALSE(control.Pays(1, 0.39, 0, 1e-3));
}

TEST(PrefetchControl, BehindTheWindowItPaysWhenSureEnough) {
  const PrefetchControl control = WithWindow(1e-3);
  // 1 ms within, 1 ms behind, 0.8 ms of cost: from a confidence of 0.9 on.
  EXPECT_TRUE(control.Pays(1, 0.91, 0, 2e-3));
  EXPECT_FALSE(control.Pays(1, 0.89, 0, 2e-3));
  EXPECT_FALSE(control.Pays(1, 0.96, 1e-3, 2e-3)) << "the window is over";
  EXPECT_TRUE(control.Pays(1, 0.98, 1e-3, 4e-3)) << "certain";
}

TEST(PrefetchControl, EachDistanceHasItsOwnWindow) {
  PrefetchControl control = WithWindow(1e-3);
  EXPECT_FALSE(control.Pays(2, 0.9, 0, 1e-3)) << "none was seen yet";
  for (int i = 0; i < 100; ++i) control.ObserveWindow(2, 3e-3);
  EXPECT_DOUBLE_EQ(control.window(1), 1e-3);
  EXPECT_TRUE(control.Pays(2, 0.5, 2e-3, 1e-3));
  EXPECT_FALSE(control.Pays(1, 0.5, 2e-3, 1e-3));
}

TEST(PrefetchControl, WithoutAWindowNothingPays) {
  const PrefetchControl control;
  EXPECT_FALSE(control.Pays(1, 0.9, 0, 1e-3));
  EXPECT_TRUE(PrefetchControl(/*always=*/true).Pays(1, 0, 1, 1e-3));
}

// Runs tokens that each save `seconds`; how many were with guesses.
int GuessingTokens(PrefetchControl& control, int tokens, double seconds) {
  int guessing = 0;
  for (int i = 0; i < tokens; ++i) {
    control.BeginToken(kToken);
    if (!control.on()) continue;
    ++guessing;
    if (seconds > 0) control.Saved(seconds);
    if (seconds < 0) control.Lost(-seconds);
  }
  return guessing;
}

TEST(PrefetchControl, GoesOnWhileItPays) {
  PrefetchControl control;
  EXPECT_EQ(GuessingTokens(control, 1000, 0.05 * kToken), 1000);
  EXPECT_EQ(control.switches(), 0U);
}

TEST(PrefetchControl, StopsWhenItDoesNotPayForLongerEachTime) {
  PrefetchControl control;
  const int first = GuessingTokens(control, 200, -0.05 * kToken);
  EXPECT_GT(control.switches(), 0U);
  EXPECT_LT(first, 100);
  const int later = GuessingTokens(control, 2000, -0.05 * kToken);
  EXPECT_LT(later, 200) << "pauses grow";
}

TEST(PrefetchControl, ComesBackWhenItPaysAgain) {
  PrefetchControl control;
  GuessingTokens(control, 200, -0.05 * kToken);
  GuessingTokens(control, 2000, 0.05 * kToken);
  EXPECT_EQ(GuessingTokens(control, 500, 0.05 * kToken), 500);
}

TEST(PrefetchControl, AlwaysNeverStops) {
  PrefetchControl control(/*always=*/true);
  EXPECT_EQ(GuessingTokens(control, 500, -0.05 * kToken), 500);
}

}  // namespace
}  // namespace sluice
