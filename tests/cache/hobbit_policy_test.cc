#include "cache/hobbit_policy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/cache/policy_support.h"

namespace sluice::cache {
namespace {

TEST(HobbitPolicyTest, RecencyAloneEvictsTheOldestPass) {
  HobbitPolicy policy(2, 4, {.recency = 16, .frequency = 0, .distance = 0});
  for (const std::size_t e : {0, 1}) policy.Insert(Id(0, e));
  for (int token = 0; token < 9; ++token) policy.Touch(Id(0, 0));
  policy.Touch(Id(0, 1));
  EXPECT_EQ(VictimOf(policy), Id(0, 0));
}

TEST(HobbitPolicyTest, FrequencyAloneEvictsTheLeastUsed) {
  HobbitPolicy policy(2, 4, {.recency = 0, .frequency = 16, .distance = 0});
  for (const std::size_t e : {0, 1}) policy.Insert(Id(0, e));
  for (int token = 0; token < 9; ++token) policy.Touch(Id(0, 0));
  policy.Touch(Id(0, 1));
  EXPECT_EQ(VictimOf(policy), Id(0, 1));
}

TEST(HobbitPolicyTest, DistanceAloneEvictsTheLayerJustLeft) {
  HobbitPolicy policy(4, 4, {.recency = 0, .frequency = 0, .distance = 16});
  for (std::size_t l = 0; l < 4; ++l) policy.Insert(Id(l, 1));
  for (const std::size_t layer : {0, 1, 2}) policy.Touch(Id(layer, 0));
  EXPECT_EQ(VictimOf(policy), Id(1, 1));
  policy.Touch(Id(3, 0));
  EXPECT_EQ(VictimOf(policy), Id(2, 1));
  policy.Touch(Id(0, 0));
  EXPECT_EQ(VictimOf(policy), Id(3, 1));
}

TEST(HobbitPolicyTest, ASequenceForgetsTheOneBefore) {
  HobbitPolicy policy(2, 4);
  for (const std::size_t e : {0, 1}) policy.Insert(Id(0, e));
  for (int token = 0; token < 9; ++token) policy.Touch(Id(0, 0));
  policy.BeginSequence();
  policy.Touch(Id(0, 1));
  EXPECT_EQ(VictimOf(policy), Id(0, 0));
}

// The formula in the header, in floating point, with every expert looked at.
class PlainHobbit {
 public:
  PlainHobbit(std::size_t layers, std::size_t experts)
      : layers_(layers),
        experts_(experts),
        last_(layers * experts),
        uses_(layers * experts) {}

  void BeginSequence() {
    passes_ = 0;
    std::ranges::fill(last_, 0);
    std::ranges::fill(uses_, 0);
  }

  void Visit(std::size_t layer, const std::set<ExpertId>& ids) {
    if (passes_ == 0 || layer <= visiting_) ++passes_;
    visiting_ = layer;
    for (const ExpertId id : ids) {
      last_[id.layer * experts_ + id.expert] = passes_;
      ++uses_[id.layer * experts_ + id.expert];
    }
  }

  double Priority(ExpertId id) const {
    const std::size_t i = id.layer * experts_ + id.expert;
    const double n = static_cast<double>(layers_);
    const auto d =
        static_cast<double>((id.layer + layers_ - visiting_) % layers_);
    return 0.5 * last_[i] / passes_ + 0.4375 * uses_[i] / passes_ +
           0.0625 * (1 - d / n);
  }

 private:
  std::size_t layers_;
  std::size_t experts_;
  std::size_t visiting_ = 0;
  int passes_ = 0;
  std::vector<int> last_;
  std::vector<int> uses_;
};

TEST(HobbitPolicyTest, UsesAtHighPrecisionCountWhereAskedFor) {
  // Both were used in the first of three passes, 1 whole.
  const auto victim = [](const HobbitPolicy::Weights& weights) {
    HobbitPolicy policy(/*layers=*/1, /*experts=*/4, weights);
    policy.Touch(Id(0, 0));
    policy.Touch(Id(0, 1));
    policy.UsedWhole(Id(0, 0));
    policy.Insert(Id(0, 0));
    policy.Insert(Id(0, 1));
    policy.Touch(Id(0, 2));
    policy.Touch(Id(0, 2));
    ExpertId id;
    EXPECT_TRUE(policy.Victim([](ExpertId) { return true; }, id));
    return id;
  };
  EXPECT_EQ(victim({}), Id(0, 0)) << "ties go to the lowest";
  EXPECT_EQ(victim(HobbitPolicy::WithPrecision()), Id(0, 1));
}

TEST(HobbitPolicyTest, WhereAllUsesAreWholeThePrecisionTermIsFrequency) {
  constexpr std::size_t kExperts = 7;
  HobbitPolicy plain(3, kExperts);
  HobbitPolicy precise(3, kExperts, HobbitPolicy::WithPrecision());
  EXPECT_EQ(plain.name(), "hobbit");
  EXPECT_EQ(precise.name(), "hobbit-precision");
  std::mt19937 random(5);
  std::set<ExpertId> resident;
  const auto any = [](ExpertId) { return true; };
  for (std::size_t step = 0; step < 3000; ++step) {
    const ExpertId id =
        Id(step % 3, std::min(random() % kExperts, random() % kExperts));
    plain.Touch(id);
    precise.Touch(id);
    precise.UsedWhole(id);
    if (resident.insert(id).second) {
      plain.Insert(id);
      precise.Insert(id);
    }
    if (resident.size() < 8) continue;
    ExpertId a;
    ExpertId b;
    ASSERT_TRUE(plain.Victim(any, a));
    ASSERT_TRUE(precise.Victim(any, b));
    ASSERT_EQ(a, b) << step;
    plain.Erase(a);
    precise.Erase(a);
    resident.erase(a);
  }
}

TEST(HobbitPolicyTest, AgreesWithItsFormula) {
  constexpr std::size_t kLayers = 5;
  constexpr std::size_t kExperts = 7;
  HobbitPolicy policy(kLayers, kExperts);
  PlainHobbit plain(kLayers, kExperts);
  std::mt19937 random(11);
  std::set<ExpertId> resident;
  int checked = 0;
  for (int step = 0; step < 20000; ++step) {
    if (step % 1000 == 0) {
      policy.BeginSequence();
      plain.BeginSequence();
    }
    const std::size_t layer = static_cast<std::size_t>(step) % kLayers;
    std::set<ExpertId> visit;
    while (visit.size() < 2) {
      visit.insert(Id(layer, std::min(random() % kExperts, random() % 9)));
    }
    plain.Visit(layer, visit);
    for (const ExpertId id : visit) policy.Touch(id);
    for (const ExpertId id : visit) {
      if (resident.insert(id).second) policy.Insert(id);
    }
    const unsigned modulus = 2 + random() % 5;
    const auto evictable = [modulus](ExpertId e) {
      return (e.layer * kExperts + e.expert) % modulus != 0;
    };
    ExpertId victim;
    while (resident.size() > 14 && policy.Victim(evictable, victim)) {
      for (const ExpertId id : resident) {
        if (!evictable(id)) continue;
        ASSERT_LE(plain.Priority(victim), plain.Priority(id) + 1e-9)
            << "step " << step;
      }
      policy.Erase(victim);
      resident.erase(victim);
      ++checked;
    }
  }
  EXPECT_GT(checked, 10000);
}

}  // namespace
}  // namespace sluice::cache
