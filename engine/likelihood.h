// NegativeLogLikelihood: the loss of one predicted token.
//
// Thread safety: pure functions.
#ifndef SLUICE_ENGINE_LIKELIHOOD_H_
#define SLUICE_ENGINE_LIKELIHOOD_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "engine/tokenizer.h"

namespace sluice {

// log sum exp(logits), in double.
inline double LogSum(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + largest;
}

// -log softmax(logits)[target], in double.
inline double NegativeLogLikelihood(std::span<const float> logits,
                                    TokenId target) {
  return LogSum(logits) - logits[static_cast<std::size_t>(target)];
}

}  // namespace sluice

#endif  // SLUICE_ENGINE_LIKELIHOOD_H_
