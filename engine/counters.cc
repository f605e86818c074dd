#include "engine/sluice.h"

namespace sluice {

Counters operator-(const Counters& a, const Counters& b) {
  return {
      .tokens = a.tokens - b.tokens,
      .expert_lookups = a.expert_lookups - b.expert_lookups,
      .expert_hits = a.expert_hits - b.expert_hits,
      .expert_misses = a.expert_misses - b.expert_misses,
      .evictions = a.evictions - b.evictions,
      .flash_bytes = a.flash_bytes - b.flash_bytes,
      .flash_reads = a.flash_reads - b.flash_reads,
      .stall_seconds = a.stall_seconds - b.stall_seconds,
      .compute_seconds = a.compute_seconds - b.compute_seconds,
  };
}

}  // namespace sluice
