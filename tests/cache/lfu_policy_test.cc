#include "cache/lfu_policy.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "tests/cache/policy_support.h"

namespace sluice::cache {
namespace {

std::vector<ExpertId> EvictAll(LfuPolicy& policy) {
  std::vector<ExpertId> order;
  ExpertId victim;
  while (policy.Victim([](ExpertId) { return true; }, victim)) {
    order.push_back(victim);
    policy.Erase(victim);
  }
  return order;
}

TEST(LfuPolicyTest, TheLeastUsedGoesHoweverRecent) {
  LfuPolicy policy(2, 4);
  for (const std::size_t e : {0, 1, 2}) policy.Insert(Id(0, e));
  for (int token = 0; token < 3; ++token) policy.Touch(Id(0, 0));
  for (int token = 0; token < 1000; ++token) policy.Touch(Id(1, 0));
  policy.Touch(Id(0, 1));
  policy.Touch(Id(0, 2));
  policy.Touch(Id(0, 2));
  EXPECT_EQ(EvictAll(policy),
            (std::vector<ExpertId>{Id(0, 1), Id(0, 2), Id(0, 0)}));
}

TEST(LfuPolicyTest, AbsentExpertsAreCountedToo) {
  LfuPolicy policy(1, 4);
  for (int token = 0; token < 3; ++token) policy.Touch(Id(0, 0));
  policy.Touch(Id(0, 1));
  policy.Insert(Id(0, 0));
  policy.Insert(Id(0, 1));
  EXPECT_EQ(EvictAll(policy), (std::vector<ExpertId>{Id(0, 1), Id(0, 0)}));
}

TEST(LfuPolicyTest, TiesGoToTheFurthestLayer) {
  LfuPolicy policy(3, 4);
  for (std::size_t l = 0; l < 3; ++l) policy.Insert(Id(l, 2));
  for (std::size_t l = 0; l < 3; ++l) policy.Touch(Id(l, 2));
  policy.Touch(Id(0, 3));
  EXPECT_EQ(EvictAll(policy),
            (std::vector<ExpertId>{Id(0, 2), Id(2, 2), Id(1, 2)}));
}

}  // namespace
}  // namespace sluice::cache
