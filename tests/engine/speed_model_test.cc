// The arithmetic of a decoded token's time: given bandwidths, seconds.
#include "engine/speed_model.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice {
namespace {

// 10 layers of 2 experts; a token touches 300 MB, a third of it dense.
TokenWork Work(double hit_rate) {
  return {.layers = 10,
          .experts_used = 2,
          .dense_bytes = 100'000'000,
          .expert_bytes = 10'000'000,
          .read_bytes = 10'000'000,
          .hit_rate = hit_rate};
}

MachineSpeeds Speeds(double dram, double flash) {
  return {.dram_bytes_per_second = dram,
          .flash_bytes_per_second = flash,
          .flash_latency_seconds = 0};
}

TEST(SpeedModelTest, CountsWhatATokenTouches) {
  EXPECT_EQ(Work(1).routed(), 20U);
  EXPECT_EQ(Work(1).touched_bytes(), 300'000'000U);
}

TEST(SpeedModelTest, ComputingGoesWithTheMemory) {
  const TokenTime time = PredictToken(Work(1), Speeds(10e9, 1e9));
  EXPECT_EQ(time.stall_seconds, 0);
  // No faster than the memory, and not half as fast.
  EXPECT_GE(time.compute_seconds, 0.030);
  EXPECT_LT(time.compute_seconds, 0.060);
  const TokenTime twice = PredictToken(Work(1), Speeds(20e9, 1e9));
  EXPECT_NEAR(twice.compute_seconds, time.compute_seconds / 2, 1e-12);
  EXPECT_EQ(twice.total(), twice.compute_seconds);
}

// Products out of memory say more than reading it.
TEST(SpeedModelTest, ComputingGoesWithProductsWhereTheyWereMeasured) {
  MachineSpeeds speeds = Speeds(10e9, 1e9);
  speeds.weights_bytes_per_second = 10e9;
  for (const double hit_rate : {0.5, 1.0}) {
    const TokenTime time = PredictToken(Work(hit_rate), speeds);
    EXPECT_GE(time.compute_seconds, 0.030);
    EXPECT_LT(time.compute_seconds, 0.060);
    MachineSpeeds same = speeds;
    same.dram_bytes_per_second = 20e9;
    EXPECT_EQ(PredictToken(Work(hit_rate), same).compute_seconds,
              time.compute_seconds);
    same.weights_bytes_per_second = 20e9;
    EXPECT_NEAR(PredictToken(Work(hit_rate), same).compute_seconds,
                time.compute_seconds / 2, 1e-12);
  }
}

TEST(SpeedModelTest, MissesThatNothingCoversAreWaitedFor) {
  // Memory without limit: all reads are waited for, and 0.4 ms for each layer
  // that misses, in the last two cases 4.375 of 10.
  const MachineSpeeds speeds = Speeds(1e18, 1e9);
  EXPECT_NEAR(PredictToken(Work(0), speeds).stall_seconds, 0.204, 1e-6);
  EXPECT_NEAR(PredictToken(Work(0.75), speeds).stall_seconds, 0.05175, 1e-6);
  EXPECT_NEAR(PredictToken(Work(0.75), Speeds(1e18, 2e9)).stall_seconds,
              0.02675, 1e-6);
}

TEST(SpeedModelTest, LatencyIsPaidOnceForALayerThatMisses) {
  MachineSpeeds speeds = Speeds(1e18, 1e9);
  speeds.flash_latency_seconds = 0.001;
  EXPECT_NEAR(PredictToken(Work(0), speeds).stall_seconds, 0.214, 1e-6);
  // Half of the experts: three layers of four miss at least one.
  EXPECT_NEAR(PredictToken(Work(0.5), speeds).stall_seconds, 0.1105, 1e-6);
  EXPECT_EQ(PredictToken(Work(1), speeds).stall_seconds, 0);
}

TEST(SpeedModelTest, ReadsGoOnWhileOtherExpertsAreComputed) {
  const MachineSpeeds speeds = Speeds(10e9, 5e9);  // a read takes 2 ms
  const TokenTime time = PredictToken(Work(0), speeds);
  EXPECT_LT(time.stall_seconds, 0.040);
  EXPECT_GT(time.stall_seconds, 0.010);
  // Computing one takes as long as reading both: nothing is waited for.
  EXPECT_EQ(PredictToken(Work(0), Speeds(0.8e9, 5e9)).stall_seconds, 0);
}

TEST(SpeedModelTest, GuessesLeaveAShareOfTheWaiting) {
  TokenWork work = Work(0.5);
  const MachineSpeeds speeds = Speeds(10e9, 1e9);
  const TokenTime plain = PredictToken(work, speeds);
  work.guesses = true;
  const TokenTime guessed = PredictToken(work, speeds);
  EXPECT_EQ(guessed.compute_seconds, plain.compute_seconds);
  EXPECT_GT(guessed.stall_seconds, 0.5 * plain.stall_seconds);
  EXPECT_LT(guessed.stall_seconds, 0.8 * plain.stall_seconds);
}

// 0.2 s of reads; computing a third as long or three times as long.
TEST(SpeedModelTest, FlashThatSavesUpIsNeverIdle) {
  MachineSpeeds slow = Speeds(1e18, 1e9);
  slow.flash_saves_up = true;
  EXPECT_NEAR(PredictToken(Work(0), slow).total(), 0.200, 1e-6);
  EXPECT_NEAR(PredictToken(Work(0.75), slow).total(), 0.050, 1e-6);
  for (const double dram : {6e9, 0.6e9}) {
    MachineSpeeds speeds = Speeds(dram, 1e9);
    const TokenTime wasteful = PredictToken(Work(0), speeds);
    speeds.flash_saves_up = true;
    const TokenTime time = PredictToken(Work(0), speeds);
    EXPECT_EQ(time.compute_seconds, wasteful.compute_seconds);
    EXPECT_NEAR(time.total(), std::max(0.200, time.compute_seconds), 1e-9);
    EXPECT_LE(time.total(), wasteful.total());
  }
}

TEST(SpeedModelTest, HitRateRisesFromNoneToAll) {
  EXPECT_EQ(ExpectedHitRate(0, 0.1), 0);
  EXPECT_EQ(ExpectedHitRate(1, 0.1), 1);
  for (double share = 0.01; share <= 1; share += 0.01) {
    EXPECT_GT(ExpectedHitRate(share, 0.1), ExpectedHitRate(share - 0.01, 0.1));
    if (share > 0.99) continue;
    EXPECT_GT(ExpectedHitRate(share, 0.05), ExpectedHitRate(share, 0.1));
  }
}

// Replays of a recorded trace (Qwen3-30B-A3B, 6 of 128) and of synthetic
// routing (8 of 64).
TEST(SpeedModelTest, HitRateIsThatOfReplays) {
  EXPECT_NEAR(ExpectedHitRate(0.10, 6.0 / 128), 0.592, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.25, 6.0 / 128), 0.843, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.50, 6.0 / 128), 0.966, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.10, 8.0 / 64), 0.480, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.25, 8.0 / 64), 0.806, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.50, 8.0 / 64), 0.969, 0.05);
}

TEST(SpeedModelTest, HitRateOfLfruIsThatOfReplays) {
  constexpr auto kLfru = cache::PolicyKind::kLfru;
  EXPECT_NEAR(ExpectedHitRate(0.10, 6.0 / 128, kLfru), 0.587, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.25, 6.0 / 128, kLfru), 0.845, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.50, 6.0 / 128, kLfru), 0.964, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.10, 8.0 / 64, kLfru), 0.451, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.25, 8.0 / 64, kLfru), 0.762, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.50, 8.0 / 64, kLfru), 0.955, 0.05);
}

// Of the same recorded trace, and of synthetic routing.
TEST(SpeedModelTest, HitRateOfLruIsThatOfReplays) {
  constexpr auto kLru = cache::PolicyKind::kLru;
  EXPECT_NEAR(ExpectedHitRate(0.10, 6.0 / 128, kLru), 0.500, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.25, 6.0 / 128, kLru), 0.827, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.50, 6.0 / 128, kLru), 0.963, 0.05);
  EXPECT_EQ(ExpectedHitRate(0.10, 8.0 / 64, kLru), 0);
  EXPECT_NEAR(ExpectedHitRate(0.17, 8.0 / 64, kLru), 0.445, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.20, 8.0 / 64, kLru), 0.602, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.30, 8.0 / 64, kLru), 0.769, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.42, 8.0 / 64, kLru), 0.907, 0.05);
  EXPECT_NEAR(ExpectedHitRate(0.50, 8.0 / 64, kLru), 0.954, 0.05);
}

}  // namespace
}  // namespace sluice
