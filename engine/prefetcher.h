// Prefetcher: reads experts before the router asks for them.
//
// While a layer computes, a predictor guesses the experts of the next layers.
// Guesses that are in the cache are pinned, so that nothing evicts them
// meanwhile; of the others those that PrefetchControl finds worth it are read,
// the nearest layer's first, most confident first, while no demand is. A
// guess never takes a slot that the next layer's demand may need. What a cache
// does not hold is asked for less often than a predictor, which knows nothing
// of the cache, believes: how often is measured, and is what a guess to be read
// is trusted with. When the router has spoken, right guesses that have not
// landed become demand reads, wrong ones are cancelled.
//
// With a rule of precision the guessed ranks and weights say how much of a
// guess is read (HOBBIT, Tang et al. 2024: prefetch uses the same rule).
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_PREFETCHER_H_
#define SLUICE_ENGINE_PREFETCHER_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/expert_cache.h"
#include "engine/expert_loader.h"
#include "engine/expert_source.h"
#include "engine/idle_flash.h"
#include "engine/precision_rule.h"
#include "engine/prefetch_control.h"
#include "predictor/calibrated_predictor.h"
#include "predictor/calibration.h"
#include "predictor/predictor.h"

namespace sluice {

// What became of the guesses that were read.
struct PrefetchStats {
  std::uint64_t guesses = 0;  // experts guessed, in the cache or not
  std::uint64_t issued = 0;   // reads begun
  std::uint64_t bases = 0;    // of these, base planes alone
  std::uint64_t useful = 0;   // asked for, and there
  std::uint64_t late = 0;     // asked for while still being read
  std::uint64_t wasted = 0;   // not asked for
  std::uint64_t useful_bytes = 0;
  std::uint64_t late_bytes = 0;
  std::uint64_t wasted_bytes = 0;  // that were read
  std::uint64_t pauses = 0;        // times that guessing was switched off or on
};

class Prefetcher {
 public:
  struct Options {
    std::size_t experts_used = 0;        // top-k of a token
    std::uint64_t bytes_per_expert = 0;  // that a read asks for
    std::uint64_t bytes_per_base = 0;    // likewise, of a base plane alone
    bool always = false;                 // as PrefetchControl's
  };

  // All references must outlive the prefetcher. Without `rule` guesses are read
  // whole.
  Prefetcher(const Options& options, ExpertLoader& loader,
             cache::ExpertCache& cache, Predictor& predictor,
             const std::optional<PrecisionRule>& rule = {});

  // The router asked for the experts of `request`. Call after the layer's
  // demands have been looked up in the cache.
  void Routed(const LayerRequest& request);
  // True when Foresee would use look-ahead scores of that distance now: of the
  // next layer alone for a chunk, which keeps the device busy anyway.
  bool WantsScores(std::size_t distance) const;
  // Guesses the experts of a layer to come: one token's by the predictor, a
  // chunk's by the scores alone. Reads begin with the next Pump. A nearer look
  // at a layer replaces the farther one's guesses that were not begun.
  void Foresee(const LookAhead& look);
  // Begins as many reads of guesses as are worth it now. Call when no demand
  // is being read. Returns: kIo.
  Result<void> Pump();
  // A guess has landed that is not being waited for.
  void Landed(ExpertLoader::Landed&& landed);
  // Time went by waiting for reads.
  void Stalled(double seconds);
  // Forgets all guesses; their reads must be over.
  void Clear();

  const PrefetchStats& stats() const { return stats_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Issued {
    ExpertId id;
    Clock::time_point start;
    std::uint64_t bytes = 0;
    cache::Pin pin;  // once landed
  };

  // From a look at a layer to its request.
  struct Window {
    Clock::time_point begin;
    double stalled = 0;  // of it, seconds of waiting
    double Elapsed(Clock::time_point now) const;
  };
  // The guesses for a layer to come.
  struct Ahead {
    std::uint16_t layer = 0;
    std::size_t distance = 0;    // of the latest look; 0: none yet
    std::vector<Guess> guesses;  // to read, best first, from `next` on
    std::size_t next = 0;
    std::vector<Need> needs;       // [experts] by the rule; empty: all whole
    std::vector<cache::Pin> kept;  // guesses that were in the cache
    std::vector<Issued> issued;
    std::vector<Candidate> doubted;  // guesses of all looks not in the cache
    std::array<std::optional<Window>, kFarthestLookAhead> windows;
    void Clear();
  };

  PrefetchControl& control() { return chunk_ ? prefill_ : decode_; }
  // The layers being looked ahead to follow each other.
  Ahead& At(std::uint16_t layer) { return ahead_[layer % ahead_.size()]; }
  void Settle(const Ahead& ahead, std::span<const std::uint16_t> experts);
  void BeginToken(bool chunk);
  void KeepResident(Ahead& ahead);
  void Doubt(Ahead& ahead);
  Result<void> Pump(Ahead& ahead);
  bool RoomForGuess() const;
  // Whether guesses are made at all now.
  bool on() const;

  const Options options_;
  ExpertLoader& loader_;
  cache::ExpertCache& cache_;
  Predictor& predictor_;
  const std::optional<PrecisionRule> rule_;
  PrefetchControl decode_;
  PrefetchControl prefill_;
  IdleFlash idle_flash_;  // of decoded tokens
  bool chunk_ = false;    // what is under way is a chunk of a prompt

  std::array<Ahead, kFarthestLookAhead> ahead_;
  Calibration doubt_;  // by distance and tenths of a predictor's confidence
  std::uint16_t layer_ = 0;  // the present one
  // A router has spoken, and what was asked of the flash until then.
  struct Moment {
    Clock::time_point at;
    std::uint64_t bytes = 0;
  };
  Moment token_start_;  // of the latest token, its first layer
  Moment token_end_;    // and its last so far
  PrefetchStats stats_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PREFETCHER_H_
