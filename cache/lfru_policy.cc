#include "cache/lfru_policy.h"

namespace sluice::cache {

LfruPolicy::LfruPolicy(std::size_t layers, std::size_t experts)
    : LayeredPolicy(layers, experts),
      frequency_(layers * experts),
      recency_(layers * experts) {}

void LfruPolicy::BeginVisit(std::size_t layer) {
  const std::size_t first = FirstOf(layer);
  for (std::size_t i = first; i < first + experts(); ++i) {
    frequency_[i] -= frequency_[i] >> kFrequencyShift;
    recency_[i] >>= 1;
  }
}

void LfruPolicy::Use(std::size_t index) {
  // One use per visit, so the count stays below 2^kFrequencyShift + 1 uses.
  frequency_[index] += kUse;
  recency_[index] = kRecent;
}

std::uint64_t LfruPolicy::Score(std::size_t index) const {
  return std::uint64_t{frequency_[index]} + recency_[index];
}

}  // namespace sluice::cache
