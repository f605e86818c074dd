#include "predictor/history_predictor.h"

#include <algorithm>
#include <cmath>

#include "predictor/predictor.h"

namespace sluice {
namespace {

constexpr float kFade = 1.0F / 16;

// Buckets of uses: two for each doubling, from 1/16 of a use to 16, which is
// what an expert that is always asked for has.
constexpr float kLowest = -4;
constexpr float kPerDoubling = 2;
constexpr std::size_t kBuckets = 17;

std::size_t BucketOf(float uses) {
  const float place = (std::log2(uses) - kLowest) * kPerDoubling;
  return static_cast<std::size_t>(
      std::clamp(place, 0.0F, static_cast<float>(kBuckets - 1)));
}

// The share of the last tokens that asked for it.
std::vector<float> FrequencyPrior() {
  std::vector<float> prior;
  for (std::size_t b = 0; b < kBuckets; ++b) {
    prior.push_back(kFade *
                    std::exp2(kLowest + static_cast<float>(b) / kPerDoubling));
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
      uses_(shape.layers * shape.experts) {}

std::string_view FrequencyPredictor::name() const {
  return PredictorName(PredictorKind::kFrequency);
}

void FrequencyPredictor::BeginSequence() {
  std::fill(uses_.begin(), uses_.end(), 0.0F);
}

void FrequencyPredictor::Rank(std::uint16_t layer,
                              std::vector<Candidate>& candidates) {
  const float* uses = &uses_[layer * shape().experts];
  order_.clear();
  for (std::uint16_t e = 0; e < shape().experts; ++e) {
    if (uses[e] > 0) order_.push_back(e);
  }
  const std::size_t count = std::min(order_.size(), shape().guesses());
  std::partial_sort(order_.begin(),
                    order_.begin() + static_cast<std::ptrdiff_t>(count),
                    order_.end(), [&](std::uint16_t a, std::uint16_t b) {
                      return uses[a] != uses[b] ? uses[a] > uses[b] : a < b;
                    });
  for (std::size_t i = 0; i < count; ++i) {
    const auto bucket = static_cast<std::uint16_t>(BucketOf(uses[order_[i]]));
    candidates.push_back({order_[i], bucket});
  }
}

void FrequencyPredictor::Learn(std::uint16_t layer,
                               std::span<const std::uint16_t> routed) {
  float* uses = &uses_[layer * shape().experts];
  for (std::size_t e = 0; e < shape().experts; ++e) uses[e] -= uses[e] * kFade;
  for (const std::uint16_t expert : routed) uses[expert] += 1;
}

}  // namespace sluice
