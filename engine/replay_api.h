// Replays of routing traces through the expert cache, without a model: what a
// policy and a number of slots would hit, beside Belady's bound.
//
// Part of the library's public interface, beside engine/sluice.h. A replay runs
// the engine's own cache and policies, and asks of them what the engine's
// pipeline asks. On the trace of a run without prefetching, from a cold start,
// with the same slots and policy it counts the same hits, misses and evictions,
// provided that a chunk's experts of one layer fit into the slots together:
// when they do not, what a live cache holds afterwards depends on the order in
// which reads land, and the replay supposes that they land as submitted.
//
// Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_ENGINE_REPLAY_API_H_
#define SLUICE_ENGINE_REPLAY_API_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/routing_trace.h"
#include "engine/sluice.h"

namespace sluice {

// hits + misses = lookups; one lookup per expert and visit.
struct ReplayCounts {
  std::uint64_t tokens = 0;
  std::uint64_t lookups = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;
  // Of the misses, those that bring their base plane alone, and those that are
  // left out; and of the hits, those that bring their residual plane.
  std::uint64_t bases = 0;
  std::uint64_t skips = 0;
  std::uint64_t upgrades = 0;
};

struct ReplayReport {
  std::string policy;
  ReplayCounts prompt;
  ReplayCounts decode;
  // Visits that asked for more experts than there are slots.
  std::uint64_t oversized_visits = 0;
};

struct ReplayOptions {
  std::size_t slots = 0;
  Policy policy = Policy::kAuto;
  // As EngineOptions', by the trace's weights.
  float t1 = 1;
  float t2 = 1;
};

// Runs `trace` through a cache that starts empty.
// Returns: kInvalidArgument (fewer slots than a token uses at a layer, or more
// than 2^24), kNoMemory.
Result<ReplayReport> ReplayTrace(const RoutingTrace& trace,
                                 const ReplayOptions& options);

// What a cache of `slots` would hit that knows the future and evicts what is
// needed last (Belady 1966): in all, no policy can do better.
// Returns: as ReplayTrace.
Result<ReplayReport> ReplayOptimum(const RoutingTrace& trace,
                                   std::size_t slots);

}  // namespace sluice

#endif  // SLUICE_ENGINE_REPLAY_API_H_
