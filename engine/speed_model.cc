#include "engine/speed_model.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

// Share of the memory's bandwidth that a decoded token reaches outside stalls,
// norms, sampling and all: of a resident model, and of one that streams, whose
// reads, look-ahead and waves cost time too. Measured with two threads and
// AVX-512 (bench/LEARNED.md, 73). The first is between 0.9 and what is left
// where memory is faster than products.
constexpr double kResidentShare = 0.84;
constexpr double kStreamingShare = 0.74;
// The same of multiplying weights out of memory, where that was measured: it
// changes less with the state that memory is in (bench/LEARNED.md, 77).
constexpr double kResidentShareOfProducts = 0.84;
constexpr double kStreamingShareOfProducts = 0.76;

// What a layer that waits for reads waits besides them: idle processors wake,
// the host of a virtual one copies. Measured on a virtual machine; a processor
// of one's own takes a fraction of it (bench/LEARNED.md, 77).
constexpr double kWakeSeconds = 0.4e-3;

// What computing hides of the reads that go on meanwhile, over what it would at
// the flash's full rate: where a hypervisor copies what it reads, or memory is
// all that computing waits for, each takes from the other. And what guesses
// leave of waiting.
constexpr double kHiddenShare = 0.3;
constexpr double kGuessedStall = 0.65;

// The odds of a hit when `share` of all experts is cached and a layer uses
// `used` of its own, both between 0 and 1:
//
//   (share / (kHalfHitShare + kHalfHitPerUsed * used))^kHitSlope
//       / (1 - share)^kHitRise
//
// Fitted by hand to 34 replays through LFRU of two recorded and two synthetic
// routings, with used between 0.016 and 0.125: bench/LEARNED.md, "What a plan
// predicts".
constexpr double kHalfHitShare = 0.08;
constexpr double kHalfHitPerUsed = 0.6;
constexpr double kHitSlope = 0.8;
constexpr double kHitRise = 3;

// LRU's odds over LFRU's. Layers come round: a cache that does not hold one
// token's experts has none of them when it is asked, one that holds little more
// has the last token's alone:
//
//   0 where share < used, else kLruOdds (1 - (kLruCycle used / share)^2)
//
// Those of the others are higher or lower as routing is: no better known than
// this curve (bench/LEARNED.md, 60 and 77).
constexpr double kLruOdds = 0.85;
constexpr double kLruCycle = 0.9;
// The learning policy's rise faster. Where a text is long enough to learn from,
// they are 1.0 to 1.1 times LFRU's with a tenth of the experts, 1.2 with half
// (bench/LEARNED.md, 76).
constexpr double kLearnedRise = 0.3;

double OddsOverLfru(cache::PolicyKind policy, double share, double used_share) {
  const double cycle = kLruCycle * used_share / share;
  switch (policy) {
    case cache::PolicyKind::kLru:
      return share < used_share ? 0 : kLruOdds * (1 - cycle * cycle);
    case cache::PolicyKind::kLearned:
      return std::pow(1 - share, -kLearnedRise);
    default:
      return 1;
  }
}

// Bytes of weights per second outside stalls.
double ComputingRate(const TokenWork& work, const MachineSpeeds& speeds) {
  const bool streams = work.hit_rate < 1;
  if (speeds.weights_bytes_per_second > 0) {
    return (streams ? kStreamingShareOfProducts : kResidentShareOfProducts) *
           speeds.weights_bytes_per_second;
  }
  return (streams ? kStreamingShare : kResidentShare) *
         speeds.dram_bytes_per_second;
}

}  // namespace

TokenTime PredictToken(const TokenWork& work, const MachineSpeeds& speeds) {
  const double rate = ComputingRate(work, speeds);
  const auto layers = static_cast<double>(work.layers);
  const double dense = static_cast<double>(work.dense_bytes) / rate / layers;
  const double expert = static_cast<double>(work.expert_bytes) / rate;
  const double read =
      static_cast<double>(work.read_bytes) / speeds.flash_bytes_per_second;
  const std::uint32_t used = work.experts_used;
  const double hidden = kHiddenShare * (used - 1) * expert;

  double stall = 0;    // of a layer
  double choices = 1;  // of `misses` among the experts
  for (std::uint32_t misses = 1; misses <= used; ++misses) {
    choices *= static_cast<double>(used - misses + 1) / misses;
    const double probability = choices * std::pow(1 - work.hit_rate, misses) *
                               std::pow(work.hit_rate, used - misses);
    stall +=
        probability * std::max(0.0, speeds.flash_latency_seconds +
                                        kWakeSeconds + misses * read - hidden);
  }
  if (work.guesses) stall *= kGuessedStall;
  TokenTime time = {.compute_seconds = layers * (dense + used * expert),
                    .stall_seconds = layers * stall};
  if (speeds.flash_saves_up) {
    const double reads = layers * used * (1 - work.hit_rate) * read;
    time.stall_seconds = std::max(0.0, reads - time.compute_seconds);
  }
  return time;
}

double ExpectedHitRate(double share, double used_share,
                       cache::PolicyKind policy) {
  if (share <= 0) return 0;
  if (share >= 1) return 1;
  const double lfru_odds =
      std::pow(share / (kHalfHitShare + kHalfHitPerUsed * used_share),
               kHitSlope) /
      std::pow(1 - share, kHitRise);
  const double odds = OddsOverLfru(policy, share, used_share) * lfru_odds;
  return odds / (1 + odds);
}

}  // namespace sluice
