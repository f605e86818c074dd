#include "engine/replay_api.h"

#include <cstddef>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr Policy kPolicies[] = {Policy::kLru,
                                Policy::kLfu,
                                Policy::kLfru,
                                Policy::kHobbit,
                                Policy::kHobbitPrecision,
                                Policy::kLearned};

RoutingTrace Parsed(const std::string& rows) {
  auto trace = ParseTrace(
      "# layers=2 experts=8 expert_bytes=10\n"
      "phase,token,layer,experts,weights\n" +
          rows,
      "t.csv");
  EXPECT_TRUE(trace.has_value()) << trace.error().message;
  return trace ? *std::move(trace) : RoutingTrace();
}

ReplayReport Replayed(const RoutingTrace& trace, Policy policy,
                      std::size_t slots) {
  const auto report = ReplayTrace(trace, {.slots = slots, .policy = policy});
  EXPECT_TRUE(report.has_value()) << report.error().message;
  return report.value_or(ReplayReport());
}

ReplayReport Optimum(const RoutingTrace& trace, std::size_t slots) {
  const auto report = ReplayOptimum(trace, slots);
  EXPECT_TRUE(report.has_value()) << report.error().message;
  return report.value_or(ReplayReport());
}

TEST(ReplayTest, AChunkAsksForEachExpertOnce) {
  const RoutingTrace trace = Parsed(
      "0,0,0,1 2,1 0\n"
      "0,1,0,2 3,1 0\n"
      "0,0,1,1 2,1 0\n"
      "1,2,0,3 1,1 0\n"
      "1,2,1,1 7,1 0\n");
  const ReplayReport report = Replayed(trace, Policy::kLru, 16);
  EXPECT_EQ(report.policy, "lru");
  EXPECT_EQ(report.prompt.tokens, 2U);
  EXPECT_EQ(report.prompt.lookups, 5U);
  EXPECT_EQ(report.prompt.misses, 5U);
  EXPECT_EQ(report.prompt.hits, 0U);
  EXPECT_EQ(report.decode.tokens, 1U);
  EXPECT_EQ(report.decode.lookups, 4U);
  EXPECT_EQ(report.decode.hits, 3U);
  EXPECT_EQ(report.decode.misses, 1U);
  EXPECT_EQ(report.decode.evictions, 0U);
}

TEST(ReplayTest, TheOptimumKeepsWhatIsNeededFirst) {
  // 1 2 3 1 2 3 through two slots: LRU misses all.
  const RoutingTrace trace = Parsed(
      "1,0,0,1,1\n1,1,0,2,1\n1,2,0,3,1\n1,3,0,1,1\n1,4,0,2,1\n1,5,0,3,1\n");
  EXPECT_EQ(Replayed(trace, Policy::kLru, 2).decode.hits, 0U);
  const ReplayReport optimum = Optimum(trace, 2);
  EXPECT_EQ(optimum.policy, "belady");
  EXPECT_EQ(optimum.decode.hits, 2U);
  EXPECT_EQ(optimum.decode.misses, 4U);
  EXPECT_EQ(optimum.decode.evictions, 2U);
}

TEST(ReplayTest, NoPolicyBeatsTheOptimum) {
  std::mt19937 random(7);
  std::string rows;
  for (int token = 0; token < 300; ++token) {
    for (int layer = 0; layer < 2; ++layer) {
      const unsigned a = random() % 4 == 0 ? random() % 8 : random() % 3;
      const unsigned b = (a + 1 + random() % 7) % 8;
      rows += std::to_string(token < 20 ? 0 : 1) + "," + std::to_string(token) +
              "," + std::to_string(layer) + "," + std::to_string(a) + " " +
              std::to_string(b) + ",1 0\n";
    }
  }
  const RoutingTrace trace = Parsed(rows);
  for (const std::size_t slots : {2, 3, 5, 8, 12, 16}) {
    const ReplayReport optimum = Optimum(trace, slots);
    for (const Policy policy : kPolicies) {
      const ReplayReport report = Replayed(trace, policy, slots);
      EXPECT_EQ(report.decode.lookups, optimum.decode.lookups);
      EXPECT_LE(report.prompt.hits + report.decode.hits,
                optimum.prompt.hits + optimum.decode.hits)
          << report.policy << " with " << slots;
      EXPECT_EQ(report.prompt.misses + report.decode.misses,
                report.prompt.evictions + report.decode.evictions +
                    std::min<std::size_t>(slots, 16));
    }
  }
}

TEST(ReplayTest, MoreThanTheSlotsInOneVisit) {
  const RoutingTrace trace = Parsed(
      "0,0,0,1 2,1 0\n"
      "0,1,0,3 4,1 0\n"
      "1,2,0,3 4,1 0\n");
  for (const Policy policy : kPolicies) {
    const ReplayReport report = Replayed(trace, policy, 2);
    EXPECT_EQ(report.oversized_visits, 1U);
    EXPECT_EQ(report.prompt.misses, 4U);
    EXPECT_EQ(report.decode.hits, 2U);
  }
  EXPECT_EQ(Optimum(trace, 2).oversized_visits, 1U);
}

TEST(ReplayTest, LentSlotsHoldNoExperts) {
  // 1 2 3 4 in order; the second chunk leaves two of four slots to experts.
  const RoutingTrace trace = Parsed(
      "# chunk\n0,0,0,1,1\n# chunk\n0,1,0,2,1\n# chunk\n0,2,0,3,1\n"
      "# chunk\n0,3,0,4,1\n"
      "# chunk lent=2\n0,4,0,4,1\n# chunk lent=2\n0,5,0,5,1\n"
      "1,6,0,4,1\n1,7,0,1,1\n1,8,0,2,1\n1,9,0,4,1\n");
  const ReplayReport report = Replayed(trace, Policy::kLru, 4);
  EXPECT_EQ(report.prompt.hits, 1U);       // 4
  EXPECT_EQ(report.prompt.misses, 5U);     // 1 2 3 4 5
  EXPECT_EQ(report.prompt.evictions, 3U);  // 1 and 2 for the loan, 3 for 5
  EXPECT_EQ(report.decode.hits, 2U);       // 4 twice
  EXPECT_EQ(report.decode.evictions, 0U);  // the slots are back
  // Never more than half, however few slots there are now.
  EXPECT_EQ(Replayed(trace, Policy::kLru, 2).prompt.evictions, 4U);
}

TEST(ReplayTest, RefusesSlotsThatCannotRun) {
  const RoutingTrace trace = Parsed("1,0,0,1 2,1 0\n");
  for (const std::size_t slots :
       {std::size_t{0}, std::size_t{1}, (std::size_t{1} << 24) + 1}) {
    const auto report = ReplayTrace(trace, {.slots = slots});
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(report.error().message, testing::HasSubstr("slots"));
    EXPECT_FALSE(ReplayOptimum(trace, slots).has_value());
  }
}

}  // namespace
}  // namespace sluice
