#include "predictor/history_predictor.h"

#include <algorithm>
#include <cmath>

#include "predictor/predictor.h"

namespace sluice {
namespace {

constexpr float kFade = 1.0F / 16;

// Buckets of shares of the last tokens: two for each doubling, up to all.
constexpr float kPerDoubling = 2;
constexpr std::size_t kBuckets = 17;

std::size_t BucketOf(float share) {
  const float place =
      static_cast<float>(kBuckets - 1) + std::log2(share) * kPerDoubling;
  return static_cast<std::size_t>(
      std::clamp(place, 0.0F, static_cast<float>(kBuckets - 1)));
}

std::vector<float> FrequencyPrior() {
  std::vector<float> prior;
  for (std::size_t b = 0; b < kBuckets; ++b) {
    const auto below = static_cast<float>(kBuckets - 1 - b);
    prior.push_back(std::exp2(-below / kPerDoubling));
  }
  return prior;
}

}  // namespace

PreviousPredictor::PreviousPredictor(const RouterShape& shape)
    : CalibratedPredictor(shape, std::vector<float>(shape.experts_used, 0.3F)),
      previous_(shape.layers) {}

std::string_view PreviousPredictor::name() const {
  return PredictorName(PredictorKind::kPrevious);
}

void PreviousPredictor::BeginSequence() {
  for (auto& previous : previous_) previous.clear();
}

void PreviousPredictor::Rank(std::uint16_t layer,
                             std::vector<Candidate>& candidates) {
  std::uint16_t rank = 0;
  for (const std::uint16_t expert : previous_[layer]) {
    candidates.push_back({expert, rank++});
  }
}

void PreviousPredictor::Learn(std::uint16_t layer,
                              std::span<const std::uint16_t> routed) {
  previous_[layer].assign(routed.begin(), routed.end());
}

FrequencyPredictor::FrequencyPredictor(const RouterShape& shape)
    : CalibratedPredictor(shape, FrequencyPrior()),
      uses_(shape.layers * shape.experts),
      tokens_(shape.layers) {}

std::string_view FrequencyPredictor::name() const {
  return PredictorName(PredictorKind::kFrequency);
}

void FrequencyPredictor::BeginSequence() {
  std::fill(uses_.begin(), uses_.end(), 0.0F);
  std::fill(tokens_.begin(), tokens_.end(), 0.0F);
}

void FrequencyPredictor::Rank(std::uint16_t layer,
                              std::vector<Candidate>& candidates) {
  const float* uses = &uses_[layer * shape().experts];
  order_.clear();
  for (std::size_t e = 0; e < shape().experts; ++e) {
    if (uses[e] > 0) order_.push_back(static_cast<std::uint16_t>(e));
  }
  const std::size_t count = std::min(order_.size(), shape().guesses());
  std::partial_sort(order_.begin(),
                    order_.begin() + static_cast<std::ptrdiff_t>(count),
                    order_.end(), [&](std::uint16_t a, std::uint16_t b) {
                      return uses[a] != uses[b] ? uses[a] > uses[b] : a < b;
                    });
  for (std::size_t i = 0; i < count; ++i) {
    // One token more than there were: the first says little.
    const float share = uses[order_[i]] / (tokens_[layer] + 1);
    candidates.push_back(
        {order_[i], static_cast<std::uint16_t>(BucketOf(share))});
  }
}

void FrequencyPredictor::Learn(std::uint16_t layer,
                               std::span<const std::uint16_t> routed) {
  float* uses = &uses_[layer * shape().experts];
  for (std::size_t e = 0; e < shape().experts; ++e) uses[e] -= uses[e] * kFade;
  for (const std::uint16_t expert : routed) uses[expert] += 1;
  tokens_[layer] += 1 - tokens_[layer] * kFade;
}

}  // namespace sluice
