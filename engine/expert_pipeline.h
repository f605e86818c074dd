// ExpertPipeline: the ExpertSource of a model that streams. It joins the expert
// store, the read device and the expert cache.
//
// For a layer's experts: those in the cache are pinned and are the first wave;
// every miss takes a slot and all their reads are submitted together, before
// anything waits; the experts that have landed when a wave has been computed
// are the next wave. When the slots do not suffice for all misses at once, the
// rest follow as waves release theirs.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_EXPERT_PIPELINE_H_
#define SLUICE_ENGINE_EXPERT_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/expert_cache.h"
#include "engine/expert_source.h"
#include "storage/expert_store.h"
#include "storage/read_device.h"

namespace sluice {

class ExpertPipeline final : public ExpertSource {
 public:
  // All arguments must outlive the pipeline; nothing else may use the device
  // while a layer is under way.
  ExpertPipeline(const storage::ExpertStore& store, storage::ReadDevice& device,
                 cache::ExpertCache& cache);
  ~ExpertPipeline() override;

  Result<void> Begin(std::uint16_t layer,
                     std::span<const std::uint16_t> experts) override;
  Result<std::span<const ReadyExpert>> NextWave() override;

  // Time spent with nothing to compute, waiting for reads.
  double stall_seconds() const { return stall_seconds_; }

 private:
  // An expert whose reads are in flight; its tag is its index in loads_.
  struct Load {
    std::uint32_t index = 0;  // into the layer's experts
    std::size_t reads_left = 0;
    cache::Reservation reservation;
  };

  ExpertId Id(std::uint32_t index) const { return {layer_, experts_[index]}; }
  Result<void> SubmitMisses();
  Result<void> Reap(bool wait);
  Result<void> Land(const storage::ReadCompletion& completion);
  void AddReady(std::uint32_t index, cache::Pin pin);
  void Abandon();

  const storage::ExpertStore& store_;
  storage::ReadDevice& device_;
  cache::ExpertCache& cache_;

  std::uint16_t layer_ = 0;
  std::span<const std::uint16_t> experts_;
  std::vector<std::uint32_t> misses_;  // still without a slot, last one first
  std::vector<Load> loads_;
  std::size_t loading_ = 0;         // loads_ that have not landed
  std::vector<ReadyExpert> ready_;  // for the next wave, pinned by pins_
  std::vector<cache::Pin> pins_;
  std::vector<ReadyExpert> wave_;  // given out, pinned by wave_pins_
  std::vector<cache::Pin> wave_pins_;

  std::vector<storage::ReadRequest> requests_;
  std::vector<storage::ReadCompletion> completions_;
  double stall_seconds_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_EXPERT_PIPELINE_H_
