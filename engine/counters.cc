#include <ctime>

#include "engine/engine_impl.h"
#include "engine/sluice.h"

namespace sluice {
namespace {

double ProcessCpuSeconds() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) +
         1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

Counters EngineImpl::counters() const {
  Counters counters;
  counters.tokens = tokens_;
  counters.budget_changes = budget_changes_;
  counters.compute_seconds = forward_seconds_;
  counters.cpu_seconds = ProcessCpuSeconds();
  counters.attention_seconds = clock_.seconds(Phase::kAttention);
  counters.router_seconds = clock_.seconds(Phase::kRouter);
  counters.experts_seconds = clock_.seconds(Phase::kExperts);
  counters.output_seconds = clock_.seconds(Phase::kOutput);
  counters.base_uses = transformer_->base_uses();
  if (cache_ == nullptr) return counters;
  counters.expert_lookups = cache_->stats().lookups;
  counters.expert_hits = cache_->stats().hits;
  counters.expert_misses = cache_->stats().misses;
  counters.evictions = cache_->stats().evictions - uncounted_evictions_;
  counters.demotions = cache_->stats().demotions;
  counters.base_loads = pipeline_->bases();
  counters.upgrades = pipeline_->upgrades();
  counters.skips = pipeline_->skips();
  counters.reordered = pipeline_->reordered();
  counters.flash_bytes = device_->stats().bytes - uncounted_reads_.bytes;
  counters.flash_reads = device_->stats().requests - uncounted_reads_.requests;
  const PrefetchStats guesses = pipeline_->prefetch_stats();
  counters.prefetch_issued = guesses.issued;
  counters.prefetch_bases = guesses.bases;
  counters.prefetch_useful = guesses.useful;
  counters.prefetch_late = guesses.late;
  counters.prefetch_wasted = guesses.wasted;
  counters.prefetch_useful_bytes = guesses.useful_bytes;
  counters.prefetch_late_bytes = guesses.late_bytes;
  counters.prefetch_wasted_bytes = guesses.wasted_bytes;
  counters.prefetch_pauses = guesses.pauses;
  counters.stall_seconds = pipeline_->stall_seconds();
  counters.compute_seconds -= counters.stall_seconds;
  counters.experts_seconds -= counters.stall_seconds;
  return counters;
}

Counters operator-(const Counters& a, const Counters& b) {
  return {
      .tokens = a.tokens - b.tokens,
      .budget_changes = a.budget_changes - b.budget_changes,
      .expert_lookups = a.expert_lookups - b.expert_lookups,
      .expert_hits = a.expert_hits - b.expert_hits,
      .expert_misses = a.expert_misses - b.expert_misses,
      .evictions = a.evictions - b.evictions,
      .base_loads = a.base_loads - b.base_loads,
      .base_uses = a.base_uses - b.base_uses,
      .upgrades = a.upgrades - b.upgrades,
      .demotions = a.demotions - b.demotions,
      .skips = a.skips - b.skips,
      .reordered = a.reordered - b.reordered,
      .flash_bytes = a.flash_bytes - b.flash_bytes,
      .flash_reads = a.flash_reads - b.flash_reads,
      .prefetch_issued = a.prefetch_issued - b.prefetch_issued,
      .prefetch_bases = a.prefetch_bases - b.prefetch_bases,
      .prefetch_useful = a.prefetch_useful - b.prefetch_useful,
      .prefetch_late = a.prefetch_late - b.prefetch_late,
      .prefetch_wasted = a.prefetch_wasted - b.prefetch_wasted,
      .prefetch_useful_bytes =
          a.prefetch_useful_bytes - b.prefetch_useful_bytes,
      .prefetch_late_bytes = a.prefetch_late_bytes - b.prefetch_late_bytes,
      .prefetch_wasted_bytes =
          a.prefetch_wasted_bytes - b.prefetch_wasted_bytes,
      .prefetch_pauses = a.prefetch_pauses - b.prefetch_pauses,
      .stall_seconds = a.stall_seconds - b.stall_seconds,
      .compute_seconds = a.compute_seconds - b.compute_seconds,
      .cpu_seconds = a.cpu_seconds - b.cpu_seconds,
      .attention_seconds = a.attention_seconds - b.attention_seconds,
      .router_seconds = a.router_seconds - b.router_seconds,
      .experts_seconds = a.experts_seconds - b.experts_seconds,
      .output_seconds = a.output_seconds - b.output_seconds,
  };
}

}  // namespace sluice
