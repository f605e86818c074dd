// The bound of a rise, and the largest set of experts within it.
#include "engine/precision_choice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

TEST(RiseOverWindows, IsTheMeanOverTokensWithTheErrorOverWindows) {
  // Differences 1 1 | 3 | -1 0: sums 2, 3 and -1 of 2, 1 and 2 tokens.
  const std::vector<double> reference = {5, 6, 7, 8, 9};
  const std::vector<double> changed = {6, 7, 10, 7, 9};
  const auto at = [&](std::size_t from, std::size_t count) {
    return PairedLosses{.changed = std::span(changed).subspan(from, count),
                        .reference = std::span(reference).subspan(from, count)};
  };
  const std::vector<PairedLosses> windows = {at(0, 2), at(2, 1), at(3, 2)};
  const LossRise rise = RiseOverWindows(windows);
  EXPECT_DOUBLE_EQ(rise.mean, 4.0 / 5);
  const double squares = 0.4 * 0.4 + 2.2 * 2.2 + 2.6 * 2.6;
  EXPECT_DOUBLE_EQ(rise.error, std::sqrt(squares * 3 / 2) / 5);
  EXPECT_DOUBLE_EQ(rise.Upper(), rise.mean + 2 * rise.error);
}

// A model that is worse everywhere by as much is so for sure.
TEST(RiseOverWindows, SameRiseEverywhereHasNoError) {
  const std::vector<double> low = {1, 2, 3, 4};
  const std::vector<double> high = {1.5, 2.5, 3.5, 4.5};
  const std::span<const double> from(low);
  const std::span<const double> to(high);
  const std::vector<PairedLosses> windows = {
      {.changed = to.first(1), .reference = from.first(1)},
      {.changed = to.subspan(1), .reference = from.subspan(1)}};
  const LossRise rise = RiseOverWindows(windows);
  EXPECT_DOUBLE_EQ(rise.mean, 0.5);
  EXPECT_NEAR(rise.error, 0, 1e-12);
}

// Tokens of a window rise together here; taken one by one they would seem
// eight times as sure as they are, and the bound would not hold.
TEST(RiseOverWindows, BoundHoldsWhereTokensOfAWindowAreAlike) {
  constexpr std::size_t kWindows = 40;
  constexpr std::size_t kTokens = 64;
  constexpr double kTrue = 0.01;
  std::mt19937 random(7);
  std::normal_distribution<double> window_rise(kTrue, 0.1);
  const std::vector<double> reference(kTokens, 2.0);
  std::size_t held = 0;
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<std::vector<double>> changed;
    changed.reserve(kWindows);
    for (std::size_t i = 0; i < kWindows; ++i) {
      changed.emplace_back(kTokens, 2.0 + window_rise(random));
    }
    std::vector<PairedLosses> windows;
    windows.reserve(kWindows);
    for (const auto& losses : changed) {
      windows.push_back({.changed = losses, .reference = reference});
    }
    held += RiseOverWindows(windows).Upper() >= kTrue;
  }
  EXPECT_GE(held, 186u);
}

// A rise of 1e-4 nats an expert, known to `error`.
auto Linear(double error, std::set<std::size_t>& measured) {
  return [error, &measured](std::size_t count) -> Result<LossRise> {
    EXPECT_TRUE(measured.insert(count).second) << count;
    return LossRise{.mean = 1e-4 * static_cast<double>(count), .error = error};
  };
}

TEST(ChooseCount, IsTheMostWithinTheToleranceAtItsUpperBound) {
  for (const std::size_t most : {0, 1, 17, 31, 62, 63}) {
    std::set<std::size_t> measured;
    const double tolerance = 1e-4 * static_cast<double>(most) + 5e-5;
    const auto choice = ChooseCount(63, tolerance, Linear(0, measured));
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->count, most);
    EXPECT_DOUBLE_EQ(choice->chosen.mean, 1e-4 * static_cast<double>(most));
    EXPECT_DOUBLE_EQ(choice->all.mean, 63e-4);
    EXPECT_LE(measured.size(), 8u);
  }
}

TEST(ChooseCount, LeavesRoomForTheError) {
  std::set<std::size_t> measured;
  const auto choice = ChooseCount(63, 40.5e-4, Linear(5e-4, measured));
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->count, 30u);
  EXPECT_LE(choice->chosen.Upper(), 40.5e-4);
}

TEST(ChooseCount, SearchesToASixtyFourthAndNeverOverIt) {
  for (std::size_t most = 0; most <= 1000; most += 37) {
    std::set<std::size_t> measured;
    const double tolerance = 1e-4 * static_cast<double>(most) + 5e-5;
    const auto choice = ChooseCount(1000, tolerance, Linear(0, measured));
    ASSERT_TRUE(choice);
    EXPECT_LE(choice->count, most);
    EXPECT_GE(choice->count + 15, most);
    EXPECT_LE(measured.size(), 8u);
  }
}

TEST(ChooseCount, PassesErrorsOn) {
  std::size_t calls = 0;
  const auto choice = ChooseCount(8, 1, [&](std::size_t) -> Result<LossRise> {
    ++calls;
    return Fail(ErrorCode::kCancelled, "cancelled");
  });
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(calls, 1u);
}

}  // namespace
}  // namespace sluice
