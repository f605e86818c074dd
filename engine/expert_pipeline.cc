#include "engine/expert_pipeline.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "engine/prompt_tail.h"

namespace sluice {

using cache::Pin;
using storage::PlaneSet;
using storage::ReadClass;

ExpertPipeline::ExpertPipeline(const storage::ExpertStore& store,
                               storage::ReadDevice& device,
                               cache::ExpertCache& cache, bool overlap)
    : store_(store),
      cache_(cache),
      overlap_(overlap),
      loader_(store, device, cache),
      wanted_(store.experts(), kNotWanted) {}

ExpertPipeline::~ExpertPipeline() { Drain(); }

void ExpertPipeline::StartPrefetch(const Prefetcher::Options& options,
                                   Predictor& predictor) {
  prefetcher_ =
      std::make_unique<Prefetcher>(options, loader_, cache_, predictor, rule_);
}

Result<void> ExpertPipeline::Begin(const LayerRequest& request) {
  if (awaited_ > 0 || !misses_.empty()) Drain();  // a layer was given up
  EndLayer();
  // Guesses that have landed by now count as being there.
  if (prefetcher_) SLUICE_TRY(Reap(/*wait=*/false));
  layer_ = request.layer;
  experts_.assign(request.experts.begin(), request.experts.end());
  needs_.assign(experts_.size(), Need::kWhole);
  if (rule_) DecideNeeds(request);
  LookUp();
  OrderMisses(request);
  RememberTail(cache_, layer_, request.routes, request.tokens,
               [this](std::uint16_t expert) {
                 return PlanesOf(needs_[wanted_[expert]]);
               });
  if (prefetcher_) prefetcher_->Routed(request);
  return SubmitMisses();
}

// By the rule; of an expert that is a base in the store, that is all there is.
void ExpertPipeline::DecideNeeds(const LayerRequest& request) {
  rule_->Decide(request, needs_);
  for (std::uint32_t i = 0; i < experts_.size(); ++i) {
    if (needs_[i] == Need::kBase && !store_.has_planes(Id(i))) {
      needs_[i] = Need::kWhole;
    }
  }
}

// Sorts the layer's experts into ready, joined and missing ones.
void ExpertPipeline::LookUp() {
  for (std::uint32_t i = 0; i < experts_.size(); ++i) {
    wanted_[experts_[i]] = i;
    std::optional<Pin> pin = cache_.Lookup(Id(i), PlanesOf(needs_[i]));
    if (!pin) {
      Miss(i);
    } else if (pin->ready() && !Lacks(i, *pin)) {
      AddReady(i, std::move(*pin));
    } else if (pin->ready() && !loader_.Upgrading(Id(i))) {
      upgrades_.push_back(std::move(*pin));
      ++awaited_;
    } else {
      loader_.Promote(Id(i));
      joined_.push_back({i, std::move(*pin)});
      ++awaited_;
    }
  }
}

void ExpertPipeline::Miss(std::uint32_t index) {
  if (needs_[index] == Need::kNothing) {
    ++skips_;
  } else {
    misses_.push_back(index);
  }
}

// Leaves misses_ with the one to be read first at its end.
void ExpertPipeline::OrderMisses(const LayerRequest& request) {
  base_first_ = order_ == ReadOrder::kPlanes && request.tokens > 1;
  if (order_ != ReadOrder::kNamed) {
    named_ = misses_;
    if (order_ == ReadOrder::kIndex) {
      std::ranges::sort(misses_, {}, [this](auto i) { return experts_[i]; });
    } else {
      CountUses(request.routes);
      std::ranges::stable_sort(misses_, std::greater(),
                               [this](auto i) { return uses_[i]; });
    }
    for (std::size_t i = 0; i < misses_.size(); ++i) {
      if (misses_[i] != named_[i]) ++reordered_;
    }
  }
  std::ranges::reverse(misses_);
}

void ExpertPipeline::CountUses(std::span<const std::uint16_t> routes) {
  uses_.assign(experts_.size(), 0);
  for (const std::uint16_t expert : routes) ++uses_[wanted_[expert]];
}

// Whether the router needs more of an expert that is there.
bool ExpertPipeline::Lacks(std::uint32_t index, const Pin& pin) const {
  return needs_[index] == Need::kWhole && pin.planes() == PlaneSet::kBase;
}

void ExpertPipeline::StartUpgrades() {
  for (Pin& pin : upgrades_) loader_.Upgrade(pin, ReadClass::kDemand);
  std::erase_if(upgrades_, [](const Pin& pin) { return !pin; });
}

Result<std::span<const ReadyExpert>> ExpertPipeline::NextWave() {
  wave_.clear();
  wave_pins_.clear();
  SLUICE_TRY(Advance());
  while (MustWait()) {
    if (loader_.loading() == 0) {
      Drain();
      return Fail(ErrorCode::kInternal, "no slot is free for a routed expert");
    }
    SLUICE_TRY(Reap(/*wait=*/true));
    SLUICE_TRY(SubmitMisses());
    SLUICE_TRY(PumpGuesses());
  }
  wave_.swap(ready_);
  wave_pins_.swap(pins_);
  return std::span<const ReadyExpert>(wave_);
}

bool ExpertPipeline::MustWait() const {
  if (ready_.empty()) return awaited_ > 0 || !misses_.empty();
  // What is awaited may need a slot that only this wave gives back.
  return !overlap_ && awaited_ > 0 && loader_.loading() > 0;
}

Result<void> ExpertPipeline::Advance() {
  SLUICE_TRY(Reap(/*wait=*/false));
  SLUICE_TRY(SubmitMisses());
  return PumpGuesses();
}

// Not while a demand is being read: a device that reports its reads only when
// it has done all that it holds would report the guesses' and the demand's
// together (bench/LEARNED.md, 66).
Result<void> ExpertPipeline::PumpGuesses() {
  if (!prefetcher_ || awaited_ > 0 || !misses_.empty()) return {};
  Result<void> pumped = prefetcher_->Pump();
  if (!pumped) Drain();
  return pumped;
}

// Gives slots to as many upgrades and misses as there are and starts their
// reads at once.
Result<void> ExpertPipeline::SubmitMisses() {
  StartUpgrades();
  while (!misses_.empty()) {
    const std::uint32_t index = misses_.back();
    const PlaneSet planes =
        base_first_ ? PlaneSet::kBase : PlanesOf(needs_[index]);
    if (!loader_.Add(Id(index), ReadClass::kDemand, planes)) break;
    misses_.pop_back();
    ++awaited_;
  }
  Result<void> submitted = loader_.Submit();
  if (!submitted) Drain();
  return submitted;
}

Result<void> ExpertPipeline::Reap(bool wait) {
  landed_.clear();
  const auto start = std::chrono::steady_clock::now();
  Result<void> result = loader_.Reap(wait, landed_);
  if (wait) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    stall_seconds_ += seconds;
    if (prefetcher_) prefetcher_->Stalled(seconds);
  }
  for (ExpertLoader::Landed& landed : landed_) {
    Result<void> taken = Land(std::move(landed));
    if (!taken && result) result = std::move(taken);
  }
  landed_.clear();
  if (!result) Drain();
  return result;
}

Result<void> ExpertPipeline::Land(ExpertLoader::Landed&& landed) {
  const std::uint32_t index =
      landed.id.layer == layer_ ? wanted_[landed.id.expert] : kNotWanted;
  if (index == kNotWanted) {
    if (prefetcher_) prefetcher_->Landed(std::move(landed));
    return {};
  }
  const auto joined = std::ranges::find(joined_, index, &Joined::index);
  const bool was_guess = joined != joined_.end();
  Pin pin = was_guess ? std::move(joined->pin) : Pin();
  if (was_guess) joined_.erase(joined);
  --awaited_;
  if (landed.pin) {
    TakeLanded(index, std::move(*landed.pin));
    return {};
  }
  if (!was_guess || landed.pin.error().code != ErrorCode::kCancelled) {
    return tl::unexpected<Error>(std::move(landed.pin.error()));
  }
  // Cancelled when it was a wrong guess for an earlier token: read it anew.
  if (landed.planes == PlaneSet::kResidual) {
    TakeLanded(index, std::move(pin));
  } else {
    Miss(index);
  }
  return {};
}

// A guess may have brought less than is needed; Submit follows.
void ExpertPipeline::TakeLanded(std::uint32_t index, Pin pin) {
  if (!Lacks(index, pin)) return AddReady(index, std::move(pin));
  upgrades_.push_back(std::move(pin));
  ++awaited_;
}

void ExpertPipeline::AddReady(std::uint32_t index, Pin pin) {
  ready_.push_back({index, store_.View(Id(index), pin.data(), pin.planes())});
  pins_.push_back(std::move(pin));
}

bool ExpertPipeline::WantsScores(std::size_t distance) const {
  return prefetcher_ && prefetcher_->WantsScores(distance);
}

void ExpertPipeline::Foresee(const LookAhead& ahead) {
  if (prefetcher_) prefetcher_->Foresee(ahead);
}

PrefetchStats ExpertPipeline::prefetch_stats() const {
  return prefetcher_ ? prefetcher_->stats() : PrefetchStats{};
}

void ExpertPipeline::EndLayer() {
  for (const std::uint16_t expert : experts_) wanted_[expert] = kNotWanted;
  experts_.clear();
  misses_.clear();
  upgrades_.clear();
  joined_.clear();
  awaited_ = 0;
  ready_.clear();
  pins_.clear();
  wave_.clear();
  wave_pins_.clear();
}

void ExpertPipeline::Drain() {
  if (prefetcher_) prefetcher_->Clear();
  landed_.clear();
  loader_.Drain();
  EndLayer();
}

}  // namespace sluice
