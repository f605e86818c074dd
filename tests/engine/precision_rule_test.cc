// Which experts a token's weights make worth both planes.
#include "engine/precision_rule.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

using storage::PlaneSet;
constexpr PlaneSet kAll = PlaneSet::kAll;
constexpr PlaneSet kBase = PlaneSet::kBase;

std::vector<PlaneSet> Decide(double t1,
                             const std::vector<std::uint16_t>& experts,
                             const std::vector<std::uint16_t>& routes,
                             const std::vector<float>& weights,
                             std::size_t tokens) {
  std::vector<PlaneSet> needs(experts.size(), kBase);
  PrecisionRule(t1).Decide({.layer = 0,
                            .experts = experts,
                            .routes = routes,
                            .weights = weights,
                            .tokens = tokens},
                           needs);
  return needs;
}

TEST(PrecisionRule, CountsTheWeightBeforeAnExpert) {
  const auto needs = [](double t1) {
    return Decide(t1, {7, 3, 5}, {7, 3, 5}, {0.5F, 0.25F, 0.25F}, 1);
  };
  using Needs = std::vector<PlaneSet>;
  EXPECT_EQ(needs(0), (Needs{kAll, kBase, kBase}));  // the first always
  EXPECT_EQ(needs(0.49), (Needs{kAll, kBase, kBase}));
  EXPECT_EQ(needs(0.5), (Needs{kAll, kAll, kBase}));
  EXPECT_EQ(needs(0.75), (Needs{kAll, kAll, kAll}));
}

TEST(PrecisionRule, AtOneAllAreWholeWhateverTheRounding) {
  EXPECT_EQ(Decide(1, {1, 2}, {1, 2}, {1.0000001F, 0.0F}, 1),
            (std::vector<PlaneSet>{kAll, kAll}));
}

TEST(PrecisionRule, AChunkTakesWhatItsNeediestTokenNeeds) {
  // Expert 4 is last of the first token and first of the second.
  EXPECT_EQ(Decide(0.1, {9, 4, 2}, {9, 4, 4, 2}, {0.9F, 0.1F, 0.8F, 0.2F}, 2),
            (std::vector<PlaneSet>{kAll, kAll, kBase}));
}

}  // namespace
}  // namespace sluice
