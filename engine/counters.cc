#include "engine/sluice.h"

namespace sluice {

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
