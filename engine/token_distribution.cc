#include "engine/token_distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/likelihood.h"

namespace sluice {

TokenDistribution DistributionOf(std::span<const float> logits) {
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  TokenDistribution result;
  result.count = std::min(logits.size(), TokenDistribution::kTokens);
  const auto logit = [logits](TokenId id) {
    return logits[static_cast<std::size_t>(id)];
  };
  std::ranges::partial_sort(
      order, order.begin() + static_cast<std::ptrdiff_t>(result.count),
      std::ranges::greater{}, logit);
  const double norm = LogSum(logits);
  for (std::size_t i = 0; i < result.count; ++i) {
    result.tokens[i] = order[i];
    result.probabilities[i] =
        static_cast<float>(std::exp(logit(order[i]) - norm));
  }
  return result;
}

double Divergence(const TokenDistribution& reference,
                  std::span<const float> logits) {
  const double norm = LogSum(logits);
  double sum = 0;
  double reference_rest = 1;
  double rest = 1;
  for (std::size_t i = 0; i < reference.count; ++i) {
    const double p = reference.probabilities[i];
    const double log_q =
        logits[static_cast<std::size_t>(reference.tokens[i])] - norm;
    if (p > 0) sum += p * (std::log(p) - log_q);
    reference_rest -= p;
    rest -= std::exp(log_q);
  }
  // Below this the rests are what rounding leaves.
  constexpr double kLeast = 1e-6;
  if (reference_rest > kLeast && rest > kLeast) {
    sum += reference_rest * std::log(reference_rest / rest);
  }
  return sum;
}

}  // namespace sluice
