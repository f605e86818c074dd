// ExpertPipeline: the ExpertSource of a model that streams. It joins the expert
// store, the read device, the expert cache and the prefetcher.
//
// For a layer's experts: those in the cache are pinned and are the first wave;
// a guess that is still being read is promoted and waited for; every miss takes
// a slot and all their reads are submitted together, before anything waits; the
// experts that have landed when a wave has been computed are the next wave.
// When the slots do not suffice for all misses at once, the rest follow as
// waves release theirs. Only when every demand has landed are guesses of the
// next layers read.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_EXPERT_PIPELINE_H_
#define SLUICE_ENGINE_EXPERT_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/expert_cache.h"
#include "engine/expert_loader.h"
#include "engine/expert_source.h"
#include "engine/precision_rule.h"
#include "engine/prefetcher.h"
#include "engine/read_order.h"
#include "storage/expert_store.h"
#include "storage/read_device.h"

namespace sluice {

class ExpertPipeline final : public ExpertSource {
 public:
  // All arguments must outlive the pipeline; nothing else may use the device
  // between Begin and Drain. Without `overlap` the first wave waits for every
  // expert that finds a slot.
  ExpertPipeline(const storage::ExpertStore& store, storage::ReadDevice& device,
                 cache::ExpertCache& cache, bool overlap = true);
  ~ExpertPipeline() override;

  // Misses of low weight bring their base plane alone, or are left out, from
  // now on. REQUIRES: the store has planes, or the rule asks for no base alone.
  void UseRule(const PrecisionRule& rule) { rule_ = rule; }
  // Misses are read in this order from now on; kNamed until then.
  void UseOrder(ReadOrder order) { order_ = order; }
  // Guesses by `predictor`, which must outlive the pipeline, are read ahead
  // from now on, at the precision that the rule, if any, gives them.
  // REQUIRES: nothing is in flight.
  void StartPrefetch(const Prefetcher::Options& options, Predictor& predictor);

  Result<void> Begin(const LayerRequest& request) override;
  Result<std::span<const ReadyExpert>> NextWave() override;
  Result<void> Advance() override;
  bool WantsScores(std::size_t distance) const override;
  void Foresee(const LookAhead& ahead) override;

  // Ends the layer: waits until no read can write to a slot any more, then lets
  // go of slots and pins.
  void Drain();

  // Time spent with nothing to compute, waiting for reads.
  double stall_seconds() const { return stall_seconds_; }
  // All zero without prefetch.
  PrefetchStats prefetch_stats() const;
  // Experts read at lower precision, and those upgraded since.
  std::uint64_t bases() const { return loader_.bases(); }
  std::uint64_t upgrades() const { return loader_.upgrades(); }
  std::uint64_t skips() const { return skips_; }  // misses left out
  // Misses that another order than kNamed moved.
  std::uint64_t reordered() const { return reordered_; }

 private:
  static constexpr std::uint32_t kNotWanted = 0xffffffff;
  // An expert of the layer whose reads, a guess, were in flight.
  struct Joined {
    std::uint32_t index = 0;
    cache::Pin pin;
  };

  ExpertId Id(std::uint32_t index) const { return {layer_, experts_[index]}; }
  void DecideNeeds(const LayerRequest& request);
  void LookUp();
  void Miss(std::uint32_t index);
  void OrderMisses(const LayerRequest& request);
  void CountUses(std::span<const std::uint16_t> routes);
  bool Lacks(std::uint32_t index, const cache::Pin& pin) const;
  void StartUpgrades();
  Result<void> SubmitMisses();
  Result<void> PumpGuesses();
  bool MustWait() const;
  Result<void> Reap(bool wait);
  Result<void> Land(ExpertLoader::Landed&& landed);
  void TakeLanded(std::uint32_t index, cache::Pin pin);
  void AddReady(std::uint32_t index, cache::Pin pin);
  void EndLayer();

  const storage::ExpertStore& store_;
  cache::ExpertCache& cache_;
  const bool overlap_;
  ExpertLoader loader_;
  std::unique_ptr<Prefetcher> prefetcher_;  // none: no guesses are read

  std::uint16_t layer_ = 0;
  std::vector<std::uint16_t> experts_;
  std::vector<std::uint32_t> wanted_;  // [experts] index into experts_
  std::vector<std::uint32_t> misses_;  // still without a slot, last one first
  ReadOrder order_ = ReadOrder::kNamed;
  bool base_first_ = false;  // whole misses of this layer start as bases
  std::vector<std::uint32_t> uses_;    // of experts_, by the chunk's tokens
  std::vector<std::uint32_t> named_;   // misses_ before they are ordered
  std::optional<PrecisionRule> rule_;  // none: experts are read whole
  std::vector<Need> needs_;            // of experts_
  std::vector<cache::Pin> upgrades_;   // in the cache, and lack planes
  std::vector<Joined> joined_;
  std::size_t awaited_ = 0;         // of experts_, with reads in flight
  std::vector<ReadyExpert> ready_;  // for the next wave, pinned by pins_
  std::vector<cache::Pin> pins_;
  std::vector<ReadyExpert> wave_;  // given out, pinned by wave_pins_
  std::vector<cache::Pin> wave_pins_;

  std::vector<ExpertLoader::Landed> landed_;
  double stall_seconds_ = 0;
  std::uint64_t skips_ = 0;
  std::uint64_t reordered_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_EXPERT_PIPELINE_H_
