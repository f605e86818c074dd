#include "cache/lru_policy.h"

#include <vector>

#include "gtest/gtest.h"

namespace sluice::cache {
namespace {

bool Any(ExpertId) { return true; }

TEST(LruPolicyTest, OldestUseGoesFirst) {
  LruPolicy policy(2, 4);
  for (const ExpertId id : {ExpertId{0, 0}, ExpertId{0, 1}, ExpertId{1, 0}}) {
    policy.Touch(id);
    policy.Insert(id);
  }
  policy.Touch({0, 0});
  ExpertId victim;
  std::vector<ExpertId> order;
  while (policy.Victim(Any, victim)) {
    order.push_back(victim);
    policy.Erase(victim);
  }
  const std::vector<ExpertId> expected = {{0, 1}, {1, 0}, {0, 0}};
  EXPECT_EQ(order, expected);
}

TEST(LruPolicyTest, SkipsWhatMayNotGo) {
  LruPolicy policy(1, 4);
  for (std::uint16_t e = 0; e < 3; ++e) policy.Insert({0, e});
  ExpertId victim;
  ASSERT_TRUE(
      policy.Victim([](ExpertId id) { return id.expert != 0; }, victim));
  EXPECT_EQ(victim, (ExpertId{0, 1}));
  EXPECT_FALSE(policy.Victim([](ExpertId) { return false; }, victim));
}

TEST(LruPolicyTest, TouchOfAnAbsentExpertChangesNothing) {
  LruPolicy policy(1, 4);
  ExpertId victim;
  policy.Touch({0, 3});
  EXPECT_FALSE(policy.Victim(Any, victim));
  policy.Insert({0, 1});
  policy.Touch({0, 3});
  ASSERT_TRUE(policy.Victim(Any, victim));
  EXPECT_EQ(victim, (ExpertId{0, 1}));
}

}  // namespace
}  // namespace sluice::cache
