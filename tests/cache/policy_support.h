// What the tests of eviction policies name experts and ask for victims with.
#ifndef SLUICE_TESTS_CACHE_POLICY_SUPPORT_H_
#define SLUICE_TESTS_CACHE_POLICY_SUPPORT_H_

#include <cstddef>
#include <cstdint>

#include "cache/eviction_policy.h"
#include "gtest/gtest.h"

namespace sluice::cache {

inline bool Any(ExpertId) { return true; }

inline ExpertId Id(std::size_t layer, std::size_t expert) {
  return {static_cast<std::uint16_t>(layer),
          static_cast<std::uint16_t>(expert)};
}

// There must be one; it stays.
inline ExpertId VictimOf(EvictionPolicy& policy) {
  ExpertId victim = Id(9999, 9999);
  EXPECT_TRUE(policy.Victim(Any, victim));
  return victim;
}

// Of an empty policy for at least 2 layers of 2 experts.
inline void ExpectNoVictimWithoutCandidates(EvictionPolicy& policy) {
  ExpertId victim;
  EXPECT_FALSE(policy.Victim(Any, victim));
  policy.Insert(Id(1, 1));
  EXPECT_FALSE(policy.Victim([](ExpertId) { return false; }, victim));
  EXPECT_EQ(VictimOf(policy), Id(1, 1));
  policy.Erase(Id(1, 1));
  EXPECT_FALSE(policy.Victim(Any, victim));
}

}  // namespace sluice::cache

#endif  // SLUICE_TESTS_CACHE_POLICY_SUPPORT_H_
