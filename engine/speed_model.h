// SpeedModel: how long a decoded token takes, from what it touches and what the
// machine does per second. The one place for the constants behind a plan's
// tokens per second.
//
// A layer of a token is its dense part (attention, router) and then its
// experts. Both go as fast as weights are multiplied out of memory. The reads
// of all missing experts are submitted when the router has spoken; they land
// one after another and each is computed when it has, after those that were in
// the cache. So of k experts at least the last missing one is computed after
// all reads, and the other k - 1 while they go on, which hides a share of the
// reads:
//
//   stall = max(0, latency + wake + misses * read - hidden (k - 1) expert)
//
// `wake` is what waiting costs besides the reads. Guesses by the next layer's
// router leave a share of that (bench/LEARNED.md, 73 and 77).
//
// Flash that saves up what was not read meanwhile (a limit on its rate that
// counts bytes) is never idle in effect: there a token takes as long as all of
// its reads or all of its computing, whichever is longer.
//
// Misses are drawn for each expert on its own with the cache's miss rate. Keys
// and values are not counted: the context is taken to be short.
//
// Thread safety: pure functions.
#ifndef SLUICE_ENGINE_SPEED_MODEL_H_
#define SLUICE_ENGINE_SPEED_MODEL_H_

#include <cstdint>

#include "cache/eviction_policy.h"
#include "engine/sluice.h"

namespace sluice {

// What one decoded token asks of the machine.
struct TokenWork {
  std::uint32_t layers = 0;
  std::uint32_t experts_used = 0;  // top-k
  std::uint64_t dense_bytes = 0;   // of weights, all layers and the output
  std::uint64_t expert_bytes = 0;  // of one expert's weights
  std::uint64_t read_bytes = 0;    // of reading one from flash
  double hit_rate = 1;             // 0 to 1, guesses apart; 1: nothing is read
  bool guesses = false;            // the next layer's router guesses experts

  std::uint64_t routed() const { return std::uint64_t{layers} * experts_used; }
  std::uint64_t touched_bytes() const {
    return dense_bytes + routed() * expert_bytes;
  }
};

struct TokenTime {
  double compute_seconds = 0;
  double stall_seconds = 0;  // waiting for reads, nothing to compute
  double total() const { return compute_seconds + stall_seconds; }
};

// REQUIRES: speeds above zero, at least one expert used.
TokenTime PredictToken(const TokenWork& work, const MachineSpeeds& speeds);

// Expected share of routed experts found in a cache of `share` of all experts,
// without those that guesses brought, when a token uses `used_share` of a
// layer's and `policy` evicts. Of routing with the locality of large models'
// text; a trace knows better.
double ExpectedHitRate(double share, double used_share,
                       cache::PolicyKind policy = cache::PolicyKind::kLearned);

}  // namespace sluice

#endif  // SLUICE_ENGINE_SPEED_MODEL_H_
