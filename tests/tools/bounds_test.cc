// Bounds from rates: each alone, and memory and flash beside each other.
#include "tools/bounds.h"

#include <gtest/gtest.h>

namespace sluice::tools {
namespace {

// Memory 40 GB/s and flash 5 GB/s alone, 30 and 2.5 beside each other; a token
// touches 0.9 GB of weights.
HardwareReport Machine() {
  HardwareReport machine;
  machine.dram_bytes_per_second = 40e9;
  machine.flash_bytes_per_second = 5e9;
  machine.dram_beside_flash_bytes_per_second = 30e9;
  machine.flash_beside_dram_bytes_per_second = 2.5e9;
  machine.int8_macs_per_second = 400e9;
  machine.decode_bytes = 900'000'000;
  machine.prefill_macs = 1'000'000'000;
  return machine;
}

Timings DecodedAt(double rate, double flash_bytes) {
  Timings timings;
  timings.decode_tokens_per_second = rate;
  timings.flash_bytes_per_token = flash_bytes;
  return timings;
}

TEST(SecondsAtOnce, TakesTheBestOverlapAndThenWhatIsLeft) {
  // 30 ms of both, and 15 ms of flash alone for 75 MB that are left.
  EXPECT_NEAR(SecondsAtOnce(Machine(), 0.9e9, 150e6), 0.045, 1e-12);
  // 10 ms of both, and 15 ms of memory alone.
  EXPECT_NEAR(SecondsAtOnce(Machine(), 0.9e9, 25e6), 0.025, 1e-12);
  EXPECT_NEAR(SecondsAtOnce(Machine(), 0.9e9, 0), 0.0225, 1e-12);
}

TEST(SecondsAtOnce, IsTheLargerOfTheTwoWhereNeitherTakesFromTheOther) {
  HardwareReport machine = Machine();
  machine.dram_beside_flash_bytes_per_second = machine.dram_bytes_per_second;
  machine.flash_beside_dram_bytes_per_second = machine.flash_bytes_per_second;
  EXPECT_NEAR(SecondsAtOnce(machine, 0.9e9, 150e6), 0.03, 1e-12);
  EXPECT_NEAR(SecondsAtOnce(machine, 0.9e9, 50e6), 0.0225, 1e-12);
}

TEST(SecondsAtOnce, IsNoMoreThanOneAfterTheOther) {
  HardwareReport machine = Machine();
  machine.dram_beside_flash_bytes_per_second = 10e9;
  machine.flash_beside_dram_bytes_per_second = 1e9;
  EXPECT_NEAR(SecondsAtOnce(machine, 0.9e9, 150e6), 0.0525, 1e-12);
}

TEST(Bounds, SayWhatOfEachIsReached) {
  const Bounds bounds = BoundsOf(Machine(), DecodedAt(20, 150e6), 0);
  EXPECT_NEAR(bounds.decode_bound_tokens_per_second.value(), 1 / 0.03, 1e-9);
  EXPECT_NEAR(bounds.decode_share.value(), 0.6, 1e-12);
  EXPECT_NEAR(bounds.decode_at_once_tokens_per_second.value(), 1 / 0.045, 1e-9);
  EXPECT_NEAR(bounds.decode_share_at_once.value(), 0.9, 1e-12);
  EXPECT_EQ(bounds.dram_beside_flash_bytes_per_second, 30e9);
  EXPECT_EQ(bounds.flash_beside_dram_bytes_per_second, 2.5e9);
  EXPECT_FALSE(bounds.prefill_share) << "no prompt";
}

TEST(Bounds, OfAResidentModelNothingIsAtOnce) {
  HardwareReport machine = Machine();
  machine.flash_bytes_per_second = 0;
  machine.dram_beside_flash_bytes_per_second = 0;
  machine.flash_beside_dram_bytes_per_second = 0;
  const Bounds bounds = BoundsOf(machine, DecodedAt(20, 0), 0);
  EXPECT_NEAR(bounds.decode_share.value(), 20 * 0.0225, 1e-12);
  EXPECT_FALSE(bounds.flash_bytes_per_second);
  EXPECT_FALSE(bounds.decode_at_once_tokens_per_second);
  EXPECT_FALSE(bounds.decode_share_at_once);
  EXPECT_FALSE(bounds.dram_beside_flash_bytes_per_second);
}

TEST(Bounds, RatesBeforeAndAfterARunAreHalved) {
  HardwareReport after = Machine();
  after.dram_bytes_per_second = 20e9;
  after.flash_beside_dram_bytes_per_second = 4.5e9;
  const HardwareReport between = Between(Machine(), after);
  EXPECT_EQ(between.dram_bytes_per_second, 30e9);
  EXPECT_EQ(between.flash_bytes_per_second, 5e9);
  EXPECT_EQ(between.dram_beside_flash_bytes_per_second, 30e9);
  EXPECT_EQ(between.flash_beside_dram_bytes_per_second, 3.5e9);
  EXPECT_EQ(between.decode_bytes, after.decode_bytes);
}

}  // namespace
}  // namespace sluice::tools
