#include "engine/memory_plan.h"

#include <gtest/gtest.h>

#include "engine/kv_cache.h"
#include "engine/speed_model.h"
#include "engine/weights.h"
#include "engine/workspace.h"

namespace sluice {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

ModelConfig Config() {
  ModelConfig config;
  config.layers = 16;
  config.embedding = 2048;
  config.heads = 16;
  config.kv_heads = 16;
  config.head_dim = 128;
  config.experts = 64;
  config.experts_used = 8;
  config.expert_ff = 1024;
  config.vocabulary = 50304;
  config.context = 32768;
  return config;
}

class MemoryPlanTest : public ::testing::Test {
 protected:
  PlanReport Plan(std::uint64_t memory) {
    inputs_.config = &config_;
    inputs_.memory_bytes = memory;
    return MakePlan(inputs_);
  }

  // Everything that the plan accounts for.
  static std::uint64_t Sum(const PlanReport& plan) {
    return plan.process_bytes + plan.tokenizer_bytes + plan.dense_bytes +
           plan.kv_bytes + plan.scratch_bytes + plan.expert_bytes;
  }

  std::uint64_t ScratchBytes(std::size_t chunk) const {
    return Workspace::Bytes(config_, chunk) +
           Weights::GuessRoutersBytes(config_);
  }

  ModelConfig config_ = Config();
  PlanInputs inputs_ = {.process_bytes = 8 * kMiB,
                        .tokenizer_bytes = 4 * kMiB,
                        .dense_bytes = 500 * kMiB,
                        .resident_expert_bytes = 3456 * kMiB,
                        .slot_bytes = 3551232,
                        .read_bytes_per_expert = 3551232,
                        .bytes_per_expert = 3540000,
                        .dense_decode_bytes = 400 * kMiB};
};

TEST_F(MemoryPlanTest, NeverPlansMoreThanTheCeiling) {
  const PlanReport floor = Plan(1);
  EXPECT_FALSE(floor.fits);
  for (std::uint64_t memory = floor.floor_bytes; memory < 6000 * kMiB;
       memory += 37 * kMiB) {
    const PlanReport plan = Plan(memory);
    ASSERT_TRUE(plan.fits) << memory;
    EXPECT_LE(Sum(plan), memory) << memory;
    EXPECT_GE(plan.streaming ? plan.slots : plan.experts_total,
              config_.experts_used);
  }
}

TEST_F(MemoryPlanTest, FloorIsExact) {
  const std::uint64_t floor = Plan(1).floor_bytes;
  EXPECT_FALSE(Plan(floor - 1).fits);
  EXPECT_TRUE(Plan(floor).fits);
  EXPECT_EQ(Plan(floor).slots, config_.experts_used);
}

TEST_F(MemoryPlanTest, StreamsBelowTheResidentCeilingOnly) {
  const std::uint64_t ceiling = Plan(1).resident_mode_bytes;
  EXPECT_TRUE(Plan(ceiling - 1).streaming);
  EXPECT_FALSE(Plan(ceiling).streaming);
  inputs_.force_streaming = true;
  const PlanReport forced = Plan(ceiling);
  EXPECT_TRUE(forced.streaming);
  EXPECT_LE(forced.slots, forced.experts_total);
}

TEST_F(MemoryPlanTest, MoreMemoryNeverMeansFewerSlotsPerFixedSettings) {
  inputs_.context = 512;
  inputs_.prefill_chunk = 32;
  std::size_t before = 0;
  for (std::uint64_t memory = Plan(1).floor_bytes; memory < 3000 * kMiB;
       memory += 11 * kMiB) {
    const PlanReport plan = Plan(memory);
    EXPECT_GE(plan.slots, before);
    before = plan.slots;
  }
  EXPECT_GT(before, 500U);
}

TEST_F(MemoryPlanTest, KeepsTheSettingsThatTheCallerChose) {
  inputs_.context = 777;
  inputs_.prefill_chunk = 33;
  const PlanReport plan = Plan(1500 * kMiB);
  EXPECT_EQ(plan.context, 777U);
  EXPECT_EQ(plan.prefill_chunk, 33U);
  EXPECT_EQ(plan.standing_chunk, 33U);
  EXPECT_EQ(plan.kv_bytes, KvCache::Bytes(config_, {.context = 777}));
  EXPECT_EQ(plan.scratch_bytes, ScratchBytes(33));
}

TEST_F(MemoryPlanTest, LongPromptsAreForBorrowedSlots) {
  inputs_.context = 4096;
  const PlanReport plan = Plan(2000 * kMiB);
  ASSERT_TRUE(plan.streaming);
  EXPECT_EQ(plan.standing_chunk, 16U);
  EXPECT_EQ(plan.scratch_bytes, ScratchBytes(16));
  EXPECT_GT(plan.prefill_chunk, 1000U);
  EXPECT_LE(Workspace::Bytes(config_, plan.prefill_chunk),
            plan.expert_bytes / 2);
  // At the floor there is nothing to lend.
  const PlanReport least = Plan(Plan(1).floor_bytes);
  EXPECT_EQ(least.prefill_chunk, least.standing_chunk);
  // What is resident lends nothing and needs no loan.
  const PlanReport resident = Plan(Plan(1).resident_mode_bytes);
  EXPECT_EQ(resident.standing_chunk, 512U);
  EXPECT_EQ(resident.prefill_chunk, 512U);
}

TEST_F(MemoryPlanTest, SaysWhenOneTokenNeedsMoreThanTheSlots) {
  EXPECT_TRUE(Plan(Plan(1).floor_bytes).below_working_set);
  EXPECT_FALSE(Plan(3000 * kMiB).below_working_set);
}

TEST_F(MemoryPlanTest, SpeedFollowsFromHitsAndSpeeds) {
  const PlanReport modelled = Plan(1500 * kMiB);
  EXPECT_FALSE(modelled.hit_rate_from_trace);
  EXPECT_FALSE(modelled.speeds.dram_measured);
  EXPECT_EQ(modelled.decode_bytes, 400 * kMiB + 16 * 8 * 3540000U);
  EXPECT_EQ(modelled.expected_hit_rate,
            ExpectedHitRate(static_cast<double>(modelled.slots) / (16 * 64),
                            8.0 / 64));
  inputs_.hit_rate = 0.5;
  const PlanReport replayed = Plan(1500 * kMiB);
  EXPECT_TRUE(replayed.hit_rate_from_trace);
  EXPECT_EQ(replayed.expected_hit_rate, 0.5);
  EXPECT_EQ(replayed.expected_bytes_per_token, 16 * 8 * 3551232U / 2);
  inputs_.speeds = {.dram_bytes_per_second = 20e9,
                    .dram_measured = true,
                    .flash_bytes_per_second = 3e9,
                    .flash_latency_seconds = 0,
                    .flash_measured = true};
  const PlanReport faster = Plan(1500 * kMiB);
  EXPECT_TRUE(faster.speeds.flash_measured);
  EXPECT_NEAR(faster.expected_compute_seconds_per_token,
              replayed.expected_compute_seconds_per_token / 2, 1e-9);
  EXPECT_LT(faster.expected_stall_seconds_per_token,
            replayed.expected_stall_seconds_per_token);
  EXPECT_NEAR(1 / faster.expected_tokens_per_second,
              faster.expected_compute_seconds_per_token +
                  faster.expected_stall_seconds_per_token,
              1e-9);
}

TEST_F(MemoryPlanTest, GuessesShortenTheWait) {
  const PlanReport plain = Plan(1500 * kMiB);
  inputs_.guesses = true;
  const PlanReport guessed = Plan(1500 * kMiB);
  EXPECT_GT(guessed.expected_stall_seconds_per_token, 0);
  EXPECT_LT(guessed.expected_stall_seconds_per_token,
            plain.expected_stall_seconds_per_token);
  EXPECT_EQ(guessed.expected_bytes_per_token, plain.expected_bytes_per_token);
}

TEST_F(MemoryPlanTest, WhatIsResidentNeverWaits) {
  inputs_.hit_rate = 0.5;  // of a replay with fewer slots
  const PlanReport plan = Plan(Plan(1).resident_mode_bytes);
  EXPECT_EQ(plan.expected_hit_rate, 1);
  EXPECT_FALSE(plan.hit_rate_from_trace);
  EXPECT_EQ(plan.expected_bytes_per_token, 0U);
  EXPECT_EQ(plan.expected_stall_seconds_per_token, 0);
}

}  // namespace
}  // namespace sluice
