#include "predictor/calibration.h"

#include <cassert>
#include <utility>

namespace sluice {

Calibration::Calibration(std::size_t layers, std::vector<float> prior)
    : prior_(std::move(prior)),
      all_(prior_.size()),
      layers_(layers * prior_.size()) {}

void Calibration::Add(std::uint16_t layer, std::size_t bucket, bool right) {
  const std::size_t i = layer * buckets() + bucket;
  assert(bucket < buckets() && i < layers_.size());
  all_[bucket].Add(right, kAllDecay);
  layers_[i].Add(right, kLayerDecay);
}

float Calibration::Probability(std::uint16_t layer, std::size_t bucket) const {
  const std::size_t i = layer * buckets() + bucket;
  assert(bucket < buckets() && i < layers_.size());
  return layers_[i].Estimate(all_[bucket].Estimate(prior_[bucket]));
}

void Calibration::Cell::Add(bool right, float decay) {
  hits += (right ? 1.0F : 0.0F) - hits * decay;
  trials += 1.0F - trials * decay;
}

}  // namespace sluice
