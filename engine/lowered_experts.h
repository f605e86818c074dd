// LoweredExperts: an ExpertSource that shows some experts of another one as
// their base planes, whichever planes are there: what a precision map would do
// to the result, without reading anything anew.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_LOWERED_EXPERTS_H_
#define SLUICE_ENGINE_LOWERED_EXPERTS_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/expert_source.h"

namespace sluice {

class LoweredExperts final : public ExpertSource {
 public:
  // `source`, of `experts` experts a layer, must outlive it. None is low.
  LoweredExperts(ExpertSource& source, std::uint32_t experts)
      : source_(source), experts_(experts) {}

  // [layers, experts] those that are low from the next layer on; empty: none.
  void SetLow(std::vector<bool> low) { low_ = std::move(low); }

  Result<void> Begin(const LayerRequest& request) override {
    layer_ = request.layer;
    requested_ = request.experts;
    return source_.Begin(request);
  }
  Result<std::span<const ReadyExpert>> NextWave() override;
  Result<void> Advance() override { return source_.Advance(); }

 private:
  ExpertSource& source_;
  const std::uint32_t experts_;
  std::vector<bool> low_;
  std::uint16_t layer_ = 0;
  std::span<const std::uint16_t> requested_;
  std::vector<ReadyExpert> wave_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_LOWERED_EXPERTS_H_
