#include "cache/learned_policy.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/cache/policy_support.h"

namespace sluice::cache {
namespace {

constexpr std::size_t kLayers = 6;
constexpr std::size_t kExperts = 64;
constexpr std::size_t kUsed = 4;

// Experts of a layer in an order of their own, some far likelier than others:
// rank r as often as 1 / (r + 1). Every `tokens_per_text` tokens, another order
// (0: never).
class Routing {
 public:
  explicit Routing(std::size_t tokens_per_text)
      : tokens_per_text_(tokens_per_text) {
    for (auto& order : orders_) {
      for (std::size_t e = 0; e < kExperts; ++e) order.push_back(e);
    }
    for (std::size_t r = 0; r < kExperts; ++r) total_ += 1.0 / (r + 1);
    Shuffle();
  }

  // What the next token uses: kUsed experts of each layer.
  std::vector<std::vector<ExpertId>> Next() {
    if (tokens_per_text_ > 0 && ++tokens_ % tokens_per_text_ == 0) Shuffle();
    std::vector<std::vector<ExpertId>> token(kLayers);
    for (std::size_t l = 0; l < kLayers; ++l) {
      while (token[l].size() < kUsed) {
        const ExpertId id = Id(l, orders_[l][Rank()]);
        if (std::ranges::find(token[l], id) == token[l].end()) {
          token[l].push_back(id);
        }
      }
    }
    return token;
  }

 private:
  void Shuffle() {
    for (auto& order : orders_) {
      for (std::size_t i = kExperts; i-- > 1;) {
        std::swap(order[i], order[random_() % (i + 1)]);
      }
    }
  }
  std::size_t Rank() {
    double at = total_ * static_cast<double>(random_()) / 4294967296.0;
    std::size_t rank = 0;
    while (rank + 1 < kExperts && (at -= 1.0 / (rank + 1)) > 0) ++rank;
    return rank;
  }

  const std::size_t tokens_per_text_;
  std::size_t tokens_ = 0;
  std::mt19937 random_{5};
  double total_ = 0;
  std::vector<std::size_t> orders_[kLayers];
};

// Hits of `tokens` tokens in a cache of `slots` experts.
std::size_t Hits(PolicyKind kind, std::size_t tokens_per_text,
                 std::size_t tokens, std::size_t slots) {
  const std::unique_ptr<EvictionPolicy> policy =
      MakePolicy(kind, kLayers, kExperts);
  Routing routing(tokens_per_text);
  std::set<ExpertId> resident;
  std::size_t hits = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (const auto& used : routing.Next()) {
      for (const ExpertId id : used) policy->Touch(id);
      for (const ExpertId id : used) {
        if (resident.contains(id)) {
          ++hits;
          continue;
        }
        if (resident.size() == slots) {
          ExpertId victim;
          const auto idle = [&used](ExpertId e) {
            return std::ranges::find(used, e) == used.end();
          };
          EXPECT_TRUE(policy->Victim(idle, victim));
          policy->Erase(victim);
          resident.erase(victim);
        }
        policy->Insert(id);
        resident.insert(id);
      }
    }
  }
  return hits;
}

TEST(LearnedPolicyTest, NoVictimWithoutCandidates) {
  LearnedPolicy policy(2, 4);
  ExpectNoVictimWithoutCandidates(policy);
}

// LFU is best where every text is routed alike, LFRU where texts differ. Both
// can be had.
TEST(LearnedPolicyTest, LearnsThatRoutingNeverChanges) {
  for (const std::size_t slots : {50U, 100U, 200U}) {
    const std::size_t lfu = Hits(PolicyKind::kLfu, 0, 1000, slots);
    const std::size_t lfru = Hits(PolicyKind::kLfru, 0, 1000, slots);
    const std::size_t learned = Hits(PolicyKind::kLearned, 0, 1000, slots);
    EXPECT_GT(lfu, lfru);
    EXPECT_GT(4 * learned, lfru + 3 * lfu) << slots << " slots";
  }
}

TEST(LearnedPolicyTest, LearnsThatRoutingChanges) {
  for (const std::size_t slots : {50U, 100U, 200U}) {
    const std::size_t lfu = Hits(PolicyKind::kLfu, 60, 1000, slots);
    const std::size_t lfru = Hits(PolicyKind::kLfru, 60, 1000, slots);
    const std::size_t learned = Hits(PolicyKind::kLearned, 60, 1000, slots);
    EXPECT_GT(lfru, lfu);
    EXPECT_GE(learned * 100, lfru * 99) << slots << " slots";
  }
}

// Whatever the processor and compiler: nothing is rounded differently.
TEST(LearnedPolicyTest, IsTheSameOnEveryMachine) {
  EXPECT_EQ(Hits(PolicyKind::kLearned, 0, 1000, 100), 15866U);
  EXPECT_EQ(Hits(PolicyKind::kLearned, 60, 1000, 100), 13808U);
}

TEST(LearnedPolicyTest, OfEqualsTheOneNeededLastGoes) {
  LearnedPolicy policy(4, 4);
  for (int token = 0; token < 8; ++token) {
    for (std::size_t l = 0; l < 4; ++l) policy.Touch(Id(l, 1));
  }
  for (std::size_t l = 0; l < 4; ++l) policy.Insert(Id(l, 1));
  policy.Touch(Id(0, 1));
  policy.Touch(Id(1, 1));
  EXPECT_EQ(VictimOf(policy), Id(1, 1));
  policy.Erase(Id(1, 1));
  EXPECT_EQ(VictimOf(policy), Id(0, 1));
}

TEST(LearnedPolicyTest, WhatWasNeverUsedGoesFirst) {
  LearnedPolicy policy(3, 4);
  policy.Insert(Id(0, 0));
  policy.Insert(Id(2, 3));
  // A hundred visits without it leave less and less of one use.
  policy.Touch(Id(0, 0));
  for (int token = 0; token < 100; ++token) {
    policy.Touch(Id(0, 1));
    policy.Touch(Id(1, 0));
  }
  EXPECT_EQ(VictimOf(policy), Id(2, 3));
}

// Scores stay where they belong however long a text gets.
TEST(LearnedPolicyTest, LongTextsKeepTheFrequent) {
  LearnedPolicy policy(2, 8);
  policy.Insert(Id(0, 0));
  policy.Insert(Id(0, 1));
  for (int token = 0; token < 20000; ++token) {
    policy.Touch(Id(0, token % 16 == 0 ? 1 : 0));
    policy.Touch(Id(1, 0));
  }
  EXPECT_EQ(VictimOf(policy), Id(0, 1));
}

}  // namespace
}  // namespace sluice::cache
