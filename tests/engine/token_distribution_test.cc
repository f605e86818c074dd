// What is kept of a distribution is enough to measure how far another one is.
#include "engine/token_distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "engine/likelihood.h"

namespace sluice {
namespace {

std::vector<float> Logits(std::size_t count, unsigned seed, float scale) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// By its definition, over all tokens.
double WholeDivergence(const std::vector<float>& p,
                       const std::vector<float>& q) {
  const double p_norm = LogSum(p);
  const double q_norm = LogSum(q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = p[i] - p_norm;
    sum += std::exp(log_p) * (log_p - (q[i] - q_norm));
  }
  return sum;
}

TEST(TokenDistribution, ListsTheLikeliestTokens) {
  const std::vector<float> logits = Logits(1000, 1, 2);
  const TokenDistribution kept = DistributionOf(logits);
  ASSERT_EQ(kept.count, TokenDistribution::kTokens);
  std::vector<float> sorted = logits;
  std::ranges::sort(sorted, std::ranges::greater{});
  for (std::size_t i = 0; i < kept.count; ++i) {
    const auto id = static_cast<std::size_t>(kept.tokens[i]);
    EXPECT_EQ(logits[id], sorted[i]);
    EXPECT_NEAR(kept.probabilities[i],
                std::exp(-NegativeLogLikelihood(logits, kept.tokens[i])), 1e-6);
  }
}

TEST(TokenDistribution, DivergenceOfASmallVocabularyIsThatOfTheDefinition) {
  const std::vector<float> p = Logits(50, 2, 2);
  const std::vector<float> q = Logits(50, 3, 2);
  EXPECT_EQ(DistributionOf(p).count, 50u);
  EXPECT_NEAR(Divergence(DistributionOf(p), q), WholeDivergence(p, q), 1e-5);
  EXPECT_NEAR(Divergence(DistributionOf(p), p), 0, 1e-6);
}

TEST(TokenDistribution, DivergenceOfALargeOneIsLittleLess) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::vector<float> p = Logits(2000, seed, 4);
    std::vector<float> q = p;
    const std::vector<float> noise = Logits(2000, seed + 100, 0.3F);
    for (std::size_t i = 0; i < q.size(); ++i) q[i] += noise[i];
    const double whole = WholeDivergence(p, q);
    const double kept = Divergence(DistributionOf(p), q);
    EXPECT_LE(kept, whole + 1e-6);
    EXPECT_GT(kept, 0.8 * whole);
  }
}

// The rise of the loss on tokens that the reference draws is the divergence in
// the mean.
TEST(TokenDistribution, DivergenceIsTheExpectedRise) {
  const std::vector<float> p = Logits(60, 5, 2);
  std::vector<float> q = p;
  const std::vector<float> noise = Logits(60, 6, 0.5F);
  for (std::size_t i = 0; i < q.size(); ++i) q[i] += noise[i];
  double expected = 0;
  for (TokenId id = 0; id < 60; ++id) {
    expected += std::exp(-NegativeLogLikelihood(p, id)) *
                (NegativeLogLikelihood(q, id) - NegativeLogLikelihood(p, id));
  }
  EXPECT_NEAR(Divergence(DistributionOf(p), q), expected, 1e-5);
}

}  // namespace
}  // namespace sluice
