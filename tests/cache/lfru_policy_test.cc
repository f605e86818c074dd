#include "cache/lfru_policy.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/cache/policy_support.h"

namespace sluice::cache {
namespace {

TEST(LfruPolicyTest, NoVictimWithoutCandidates) {
  LfruPolicy policy(2, 4);
  ExpectNoVictimWithoutCandidates(policy);
}

TEST(LfruPolicyTest, OftenUsedOutlivesRecentlyUsed) {
  LfruPolicy policy(2, 4);
  for (int token = 0; token < 8; ++token) {
    policy.Touch(Id(0, 2));
    policy.Touch(Id(1, 0));
  }
  policy.Touch(Id(0, 1));
  policy.Insert(Id(0, 1));
  policy.Insert(Id(0, 2));
  EXPECT_EQ(VictimOf(policy), Id(0, 1));
}

TEST(LfruPolicyTest, OldFrequencyFades) {
  LfruPolicy policy(2, 4);
  policy.Insert(Id(0, 1));
  policy.Insert(Id(0, 2));
  for (int token = 0; token < 8; ++token) {
    policy.Touch(Id(0, 2));
    policy.Touch(Id(1, 0));
  }
  for (int token = 0; token < 40; ++token) {
    policy.Touch(Id(0, 3));
    policy.Touch(Id(1, 0));
  }
  policy.Touch(Id(0, 1));
  EXPECT_EQ(VictimOf(policy), Id(0, 2));
}

TEST(LfruPolicyTest, OtherLayersVisitsDoNotAge) {
  LfruPolicy policy(3, 4);
  policy.Insert(Id(0, 0));
  policy.Insert(Id(1, 0));
  policy.Touch(Id(1, 0));
  policy.Touch(Id(0, 0));
  // Layer 1's expert ages by its own layer's visits only.
  policy.Touch(Id(2, 0));
  policy.Touch(Id(0, 1));
  EXPECT_EQ(VictimOf(policy), Id(0, 0));
}

TEST(LfruPolicyTest, RepeatedTouchBeginsAVisit) {
  LfruPolicy policy(1, 4);  // no other layer ever ends a visit
  policy.Insert(Id(0, 0));
  policy.Insert(Id(0, 1));
  policy.Touch(Id(0, 0));
  policy.Touch(Id(0, 0));
  for (int token = 0; token < 100; ++token) policy.Touch(Id(0, 1));
  for (int token = 0; token < 100; ++token) policy.Touch(Id(0, 2));
  policy.Touch(Id(0, 0));  // the once frequent has faded
  EXPECT_EQ(VictimOf(policy), Id(0, 1));
}

TEST(LfruPolicyTest, TiesGoToTheFurthestLayerThenTheLowestExpert) {
  LfruPolicy policy(4, 4);
  for (std::size_t l = 0; l < 4; ++l) {
    policy.Insert(Id(l, 3));
    policy.Insert(Id(l, 1));
  }
  policy.Touch(Id(2, 0));
  std::vector<ExpertId> order;
  ExpertId victim;
  while (policy.Victim(Any, victim)) {
    order.push_back(victim);
    policy.Erase(victim);
  }
  const std::vector<ExpertId> expected = {Id(2, 1), Id(2, 3), Id(1, 1),
                                          Id(1, 3), Id(0, 1), Id(0, 3),
                                          Id(3, 1), Id(3, 3)};
  EXPECT_EQ(order, expected);
}

// The definition in the header, word by word, without any shortcut.
class PlainLfru {
 public:
  PlainLfru(std::size_t layers, std::size_t experts)
      : layers_(layers),
        experts_(experts),
        frequency_(layers * experts),
        recency_(layers * experts) {}

  void Touch(ExpertId id) {
    const std::size_t i = id.layer * experts_ + id.expert;
    if (id.layer != visiting_ || touched_.contains(id)) {
      visiting_ = id.layer;
      touched_.clear();
      for (std::size_t e = 0; e < experts_; ++e) {
        const std::size_t j = id.layer * experts_ + e;
        frequency_[j] -= frequency_[j] / 16;
        recency_[j] /= 2;
      }
    }
    touched_.insert(id);
    frequency_[i] += 65536;
    recency_[i] = 2 * 65536;
  }

  ExpertId Victim(const std::set<ExpertId>& candidates) const {
    std::vector<std::tuple<std::uint64_t, std::size_t, ExpertId>> order;
    for (const ExpertId id : candidates) {
      const std::size_t i = id.layer * experts_ + id.expert;
      const std::size_t at = visiting_ == kNone ? 0 : visiting_;
      order.emplace_back(frequency_[i] + recency_[i],
                         (at + layers_ - id.layer) % layers_, id);
    }
    return std::get<2>(*std::min_element(order.begin(), order.end()));
  }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::size_t layers_;
  std::size_t experts_;
  std::size_t visiting_ = kNone;
  std::set<ExpertId> touched_;
  std::vector<std::uint64_t> frequency_;
  std::vector<std::uint64_t> recency_;
};

TEST(LfruPolicyTest, AgreesWithItsDefinition) {
  constexpr std::size_t kLayers = 5;
  constexpr std::size_t kExperts = 7;
  LfruPolicy policy(kLayers, kExperts);
  PlainLfru plain(kLayers, kExperts);
  std::mt19937 random(11);
  std::set<ExpertId> resident;
  std::size_t layer = 0;
  int checked = 0;
  for (int step = 0; step < 30000; ++step) {
    if (random() % 3 == 0) layer = (layer + random() % 3) % kLayers;
    const ExpertId id = Id(layer, random() % kExperts);
    policy.Touch(id);
    plain.Touch(id);
    if (resident.insert(id).second) policy.Insert(id);
    if (resident.size() < 14) continue;
    const unsigned modulus = 2 + random() % 5;
    const auto evictable = [modulus](ExpertId e) {
      return (e.layer * kExperts + e.expert) % modulus != 0;
    };
    std::set<ExpertId> candidates;
    for (const ExpertId e : resident) {
      if (evictable(e)) candidates.insert(e);
    }
    ExpertId victim;
    ASSERT_EQ(policy.Victim(evictable, victim), !candidates.empty());
    if (candidates.empty()) continue;
    ASSERT_EQ(victim, plain.Victim(candidates)) << "step " << step;
    policy.Erase(victim);
    resident.erase(victim);
    ++checked;
  }
  EXPECT_GT(checked, 10000);
}

}  // namespace
}  // namespace sluice::cache
