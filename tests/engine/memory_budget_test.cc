#include "engine/memory_budget.h"

#include <gmock/gmock.h>

#include <thread>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;

// 4 experts of a token at a layer, 100 slots of 1000 bytes beside 50000.
PlanReport Plan() {
  PlanReport plan;
  plan.streaming = true;
  plan.memory_bytes = 150'500;
  plan.process_bytes = 10'000;
  plan.tokenizer_bytes = 5'000;
  plan.dense_bytes = 20'000;
  plan.kv_bytes = 10'000;
  plan.scratch_bytes = 5'000;
  plan.layers = 8;
  plan.experts_per_token = 32;
  plan.slots = 100;
  plan.slot_bytes = 1'000;
  plan.expert_bytes = 100'000;
  return plan;
}

TEST(MemoryBudgetTest, SlotsAreWhatTheRestOfThePlanLeaves) {
  const PlanReport plan = Plan();
  EXPECT_EQ(LeastBudget(plan), 54'000U);
  EXPECT_EQ(SlotsWithin(plan, 150'500, 0), (SlotBudget{100, 100}));
  EXPECT_EQ(SlotsWithin(plan, 75'250, 0), (SlotBudget{25, 25}));
  EXPECT_EQ(SlotsWithin(plan, 54'999, 0), (SlotBudget{4, 4}));
  EXPECT_EQ(SlotsWithin(plan, 54'000, 0), (SlotBudget{4, 4}));
}

// 25 whole ones, or 50 bases of 500 bytes: a quarter of the way is 31, and what
// is left is for 19 residual planes.
TEST(MemoryBudgetTest, HighPlanesGoBeforeExpertsDo) {
  const PlanReport plan = Plan();
  const SlotBudget some = SlotsWithin(plan, 75'250, 500);
  EXPECT_EQ(some, (SlotBudget{31, 19}));
  EXPECT_EQ(SlotsWithin(plan, 150'500, 500), (SlotBudget{100, 100}));
  // Not below what a layer may want whole.
  EXPECT_EQ(SlotsWithin(plan, 58'000, 500), (SlotBudget{8, 8}));
  // No more slots than there are.
  EXPECT_EQ(SlotsWithin(plan, 149'000, 500), (SlotBudget{100, 98}));
}

TEST(MemoryBudgetTest, TheLastRequestIsTakenOnce) {
  const PlanReport plan = Plan();
  MemoryBudget budget(plan, "model");
  EXPECT_FALSE(budget.pending());
  EXPECT_FALSE(budget.Take().has_value());
  EXPECT_TRUE(budget.Request(90'000));
  EXPECT_TRUE(budget.Request(80'000));
  EXPECT_TRUE(budget.pending());
  EXPECT_EQ(budget.Take(), 80'000U);
  EXPECT_FALSE(budget.pending());
  EXPECT_FALSE(budget.Take().has_value());
}

TEST(MemoryBudgetTest, RefusesWhatCannotBeAndKeepsWhatWasAskedFor) {
  const PlanReport plan = Plan();
  MemoryBudget budget(plan, "some/model");
  EXPECT_TRUE(budget.Request(54'000));
  const auto small = budget.Request(53'999);
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, ErrorCode::kNoMemory);
  EXPECT_THAT(small.error().message, HasSubstr("some/model: cannot shrink"));
  EXPECT_THAT(small.error().message, HasSubstr("at least 53K"));
  const auto large = budget.Request(150'501);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(large.error().message, HasSubstr("cannot grow"));
  EXPECT_EQ(budget.Take(), 54'000U);
}

TEST(MemoryBudgetTest, AModelLoadedWholeGivesUpOnlyWhatItDoesNotUse) {
  PlanReport plan = Plan();
  plan.streaming = false;
  plan.slots = 0;
  plan.memory_bytes = 1'000'000;
  EXPECT_EQ(LeastBudget(plan), 150'000U);
  MemoryBudget budget(plan, "model");
  EXPECT_TRUE(budget.Request(150'000));
  const auto small = budget.Request(149'999);
  ASSERT_FALSE(small);
  EXPECT_THAT(small.error().message, HasSubstr("so that its experts stream"));
}

TEST(MemoryBudgetTest, ThreadsMayAskWhileAnotherTakes) {
  const PlanReport plan = Plan();
  MemoryBudget budget(plan, "model");
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&budget, i] {
      for (std::uint64_t n = 0; n < 1000; ++n) {
        EXPECT_TRUE(budget.Request(60'000 + i));
      }
    });
  }
  std::size_t taken = 0;
  for (int n = 0; n < 1000; ++n) {
    const auto bytes = budget.Take();
    if (!bytes) continue;
    ++taken;
    EXPECT_GE(*bytes, 60'000U);
    EXPECT_LT(*bytes, 60'004U);
  }
  for (std::thread& thread : threads) thread.join();
  taken += budget.Take().has_value() ? 1 : 0;
  EXPECT_GT(taken, 0U);
}

}  // namespace
}  // namespace sluice
