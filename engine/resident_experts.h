// ResidentExperts: the ExpertSource of a model that fits in memory. Every
// expert is always ready.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_RESIDENT_EXPERTS_H_
#define SLUICE_ENGINE_RESIDENT_EXPERTS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "engine/expert_source.h"
#include "engine/weights.h"

namespace sluice {

class ResidentExperts final : public ExpertSource {
 public:
  // REQUIRES: weights were loaded with Experts::kResident and outlive this.
  explicit ResidentExperts(const Weights& weights) : weights_(weights) {}

  Result<void> Begin(std::uint16_t layer,
                     std::span<const std::uint16_t> experts) override {
    wave_.clear();
    for (std::uint32_t i = 0; i < experts.size(); ++i) {
      wave_.push_back({i, weights_.layers()[layer].experts[experts[i]]});
    }
    given_ = false;
    return {};
  }

  Result<std::span<const ReadyExpert>> NextWave() override {
    if (given_) return std::span<const ReadyExpert>{};
    given_ = true;
    return std::span<const ReadyExpert>(wave_);
  }

 private:
  const Weights& weights_;
  std::vector<ReadyExpert> wave_;
  bool given_ = true;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_RESIDENT_EXPERTS_H_
