#include "engine/expert_pipeline.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace sluice {

using cache::Pin;
using cache::Reservation;
using storage::ReadClass;
using storage::ReadCompletion;

ExpertPipeline::ExpertPipeline(const storage::ExpertStore& store,
                               storage::ReadDevice& device,
                               cache::ExpertCache& cache)
    : store_(store), device_(device), cache_(cache) {}

ExpertPipeline::~ExpertPipeline() { Abandon(); }

Result<void> ExpertPipeline::Begin(std::uint16_t layer,
                                   std::span<const std::uint16_t> experts) {
  Abandon();
  layer_ = layer;
  experts_ = experts;
  for (std::uint32_t i = 0; i < experts.size(); ++i) {
    if (std::optional<Pin> pin = cache_.Lookup(Id(i))) {
      AddReady(i, std::move(*pin));
    } else {
      misses_.push_back(i);
    }
  }
  std::ranges::reverse(misses_);
  return SubmitMisses();
}

Result<std::span<const ReadyExpert>> ExpertPipeline::NextWave() {
  wave_.clear();
  wave_pins_.clear();
  SLUICE_TRY(SubmitMisses());
  SLUICE_TRY(Reap(/*wait=*/false));
  while (ready_.empty() && loading_ > 0) SLUICE_TRY(Reap(/*wait=*/true));
  if (ready_.empty() && !misses_.empty()) {
    Abandon();
    return Fail(ErrorCode::kInternal, "no slot is free for a routed expert");
  }
  wave_.swap(ready_);
  wave_pins_.swap(pins_);
  return std::span<const ReadyExpert>(wave_);
}

// Gives slots to as many misses as there are and starts their reads at once.
Result<void> ExpertPipeline::SubmitMisses() {
  if (misses_.empty()) return {};
  requests_.clear();
  while (!misses_.empty()) {
    const std::uint32_t index = misses_.back();
    std::optional<Reservation> slot = cache_.Reserve(Id(index));
    if (!slot) break;
    misses_.pop_back();
    const storage::ExpertReads reads = store_.Reads(
        Id(index), slot->data(), ReadClass::kDemand, loads_.size());
    requests_.insert(requests_.end(), reads.span().begin(), reads.span().end());
    loads_.push_back({index, reads.count, std::move(*slot)});
    ++loading_;
  }
  if (requests_.empty()) return {};
  Result<void> submitted = device_.Submit(requests_);
  if (!submitted) {
    // None of these requests was started; earlier ones may be in flight.
    for (const storage::ReadRequest& request : requests_) {
      loads_[request.tag].reads_left = 0;
    }
    Abandon();
  }
  return submitted;
}

Result<void> ExpertPipeline::Reap(bool wait) {
  if (loading_ == 0) return {};
  completions_.clear();
  const auto start = std::chrono::steady_clock::now();
  const Result<std::size_t> reaped =
      wait ? device_.Wait(completions_) : device_.Poll(completions_);
  if (wait) {
    stall_seconds_ +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
  }
  Result<void> result;
  if (!reaped) result = tl::unexpected<Error>(reaped.error());
  for (const ReadCompletion& completion : completions_) {
    Result<void> landed = Land(completion);
    if (!landed && result) result = std::move(landed);
  }
  if (!result) Abandon();
  return result;
}

Result<void> ExpertPipeline::Land(const ReadCompletion& completion) {
  Load& load = loads_[completion.tag];
  --load.reads_left;
  if (completion.error) return tl::unexpected<Error>(*completion.error);
  if (load.reads_left > 0) return {};
  --loading_;
  SLUICE_TRY(store_.Finish(Id(load.index), load.reservation.data()));
  AddReady(load.index, load.reservation.Commit());
  return {};
}

void ExpertPipeline::AddReady(std::uint32_t index, Pin pin) {
  ready_.push_back({index, store_.View(Id(index), pin.data())});
  pins_.push_back(std::move(pin));
}

// Ends the layer: waits until no read can write to a slot any more, then lets
// go of slots and pins.
void ExpertPipeline::Abandon() {
  while (device_.in_flight() > 0) {
    completions_.clear();
    if (!device_.Wait(completions_)) break;
  }
  loads_.clear();
  loading_ = 0;
  misses_.clear();
  ready_.clear();
  pins_.clear();
  wave_.clear();
  wave_pins_.clear();
}

}  // namespace sluice
