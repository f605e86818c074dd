// What a token's weights make its missing experts worth.
#include "engine/precision_rule.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

constexpr Need kWhole = Need::kWhole;
constexpr Need kBase = Need::kBase;
constexpr Need kNothing = Need::kNothing;
using Needs = std::vector<Need>;

Needs Decide(const PrecisionRule& rule,
             const std::vector<std::uint16_t>& experts,
             const std::vector<std::uint16_t>& routes,
             const std::vector<float>& weights, std::size_t tokens) {
  Needs needs(experts.size(), kBase);
  rule.Decide({.layer = 0,
               .experts = experts,
               .routes = routes,
               .weights = weights,
               .tokens = tokens},
              needs);
  return needs;
}

Needs DecideOne(const PrecisionRule& rule) {
  return Decide(rule, {7, 3, 5}, {7, 3, 5}, {0.5F, 0.25F, 0.25F}, 1);
}

TEST(PrecisionRule, CountsTheWeightBeforeAnExpert) {
  EXPECT_EQ(DecideOne(PrecisionRule(0)),
            (Needs{kWhole, kBase, kBase}));  // the first always
  EXPECT_EQ(DecideOne(PrecisionRule(0.49)), (Needs{kWhole, kBase, kBase}));
  EXPECT_EQ(DecideOne(PrecisionRule(0.5)), (Needs{kWhole, kWhole, kBase}));
  EXPECT_EQ(DecideOne(PrecisionRule(0.75)), (Needs{kWhole, kWhole, kWhole}));
}

TEST(PrecisionRule, BeyondT2AnExpertIsWorthNothing) {
  EXPECT_EQ(DecideOne(PrecisionRule(0, 0)), (Needs{kWhole, kNothing, kNothing}))
      << "the first is whole";
  EXPECT_EQ(DecideOne(PrecisionRule(0, 0.5)), (Needs{kWhole, kBase, kNothing}));
  EXPECT_EQ(DecideOne(PrecisionRule(0.5, 0.5)),
            (Needs{kWhole, kWhole, kNothing}));
  EXPECT_EQ(DecideOne(PrecisionRule(0.5, 0.75)),
            (Needs{kWhole, kWhole, kBase}));
}

TEST(PrecisionRule, AtOneAllAreWholeWhateverTheRounding) {
  const auto decide = [](const PrecisionRule& rule) {
    return Decide(rule, {1, 2}, {1, 2}, {1.0000001F, 0.0F}, 1);
  };
  EXPECT_EQ(decide(PrecisionRule(1)), (Needs{kWhole, kWhole}));
  EXPECT_EQ(decide(PrecisionRule(0, 1)), (Needs{kWhole, kBase}));
}

TEST(PrecisionRule, AChunkTakesWhatItsNeediestTokenNeeds) {
  // Expert 4 is last of the first token and first of the second.
  const auto decide = [](const PrecisionRule& rule) {
    return Decide(rule, {9, 4, 2}, {9, 4, 4, 2}, {0.9F, 0.1F, 0.8F, 0.2F}, 2);
  };
  EXPECT_EQ(decide(PrecisionRule(0.1)), (Needs{kWhole, kWhole, kBase}));
  EXPECT_EQ(decide(PrecisionRule(0.1, 0.2)), (Needs{kWhole, kWhole, kNothing}));
}

Needs Foresee(const PrecisionRule& rule, std::vector<float> scores,
              std::size_t sampled = 1) {
  Needs needs(4, kNothing);
  rule.Foresee({.sampled = sampled, .scores = scores}, /*experts_used=*/2,
               needs);
  return needs;
}

TEST(PrecisionRule, ForeseesByTheScoresOfTheBest) {
  // Experts 2 and 0 are the best, with 0.75 and 0.25 of their sum.
  const std::vector<float> scores = {0.2F, 0.1F, 0.6F, 0.1F};
  EXPECT_EQ(Foresee(PrecisionRule(0.7), scores),
            (Needs{kBase, kBase, kWhole, kBase}));
  EXPECT_EQ(Foresee(PrecisionRule(0.8), scores),
            (Needs{kWhole, kBase, kWhole, kBase}));
  EXPECT_EQ(Foresee(PrecisionRule(0.7, 0.8), scores),
            (Needs{kBase, kNothing, kWhole, kNothing}));
  EXPECT_EQ(Foresee(PrecisionRule(1), scores),
            (Needs{kWhole, kWhole, kWhole, kWhole}));
}

TEST(PrecisionRule, ForeseesWhatTheNeediestSampleNeeds) {
  EXPECT_EQ(Foresee(PrecisionRule(0.7),
                    {0.2F, 0.1F, 0.6F, 0.1F, 0.1F, 0.6F, 0.2F, 0.1F}, 2),
            (Needs{kBase, kWhole, kWhole, kBase}));
}

TEST(PrecisionRule, WithoutScoresAllIsForeseen) {
  EXPECT_EQ(Foresee(PrecisionRule(0.1), {}),
            (Needs{kWhole, kWhole, kWhole, kWhole}));
}

}  // namespace
}  // namespace sluice
