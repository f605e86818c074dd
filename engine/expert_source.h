// ExpertSource: where the expert half of a layer gets its weights from.
//
// A layer announces the experts it needs, then takes them in waves as they
// become ready, in any order, until all have been given but those that are left
// out as worth nothing, which is lossy. A wave's weights stay in place until
// the next call. What the next layer will need may be told
// between the two, as a guess: it changes what is read when, never what is
// given.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_EXPERT_SOURCE_H_
#define SLUICE_ENGINE_EXPERT_SOURCE_H_

#include <cstdint>
#include <span>

#include "storage/expert_store.h"
#include "storage/result.h"

namespace sluice {

struct ReadyExpert {
  std::uint32_t index = 0;  // into the ids that Begin was given
  storage::ExpertView weights;
};

// What the router of a layer asks for.
struct LayerRequest {
  std::uint16_t layer = 0;
  // Distinct, in order of first use; valid until the last wave.
  std::span<const std::uint16_t> experts;
  // [tokens, experts_used] the ids of each token by rank; valid during Begin.
  std::span<const std::uint16_t> routes;
  // [tokens, experts_used] their weights; valid during Begin.
  std::span<const float> weights = {};
  std::size_t tokens = 1;
};

// How many layers ahead a token's experts are guessed, at most.
inline constexpr std::size_t kFarthestLookAhead = 2;

// What the router of `layer`, one that is to come, says of this layer's hidden
// state: an early look at what it will ask for.
struct LookAhead {
  std::uint16_t layer = 0;
  std::size_t distance = 1;  // layers from the present one to `layer`
  std::size_t tokens = 1;    // in the chunk
  std::size_t sampled = 1;   // of them, in `scores`
  std::span<float> scores;   // [sampled, experts] probabilities; may be
                             // overwritten
};

class ExpertSource {
 public:
  virtual ~ExpertSource() = default;

  // Starts whatever reads the request needs, all at once. Other work may come
  // between this and the first NextWave: the reads go on meanwhile.
  // Returns: kIo.
  virtual Result<void> Begin(const LayerRequest& request) = 0;
  // The experts that are ready; blocks only when there is none yet. Empty when
  // all have been given, or left out. After an error the layer is over: nothing
  // is in flight and nothing is pinned. Returns: kIo, kCorrupt, kInternal.
  virtual Result<std::span<const ReadyExpert>> NextWave() = 0;

  // Call between pieces of work: takes what has landed and starts what can be
  // started, without blocking. Returns: as NextWave.
  virtual Result<void> Advance() { return {}; }
  // True when Foresee would make use of look-ahead scores of the layer
  // `distance` after the present one, for the tokens of the last Begin.
  virtual bool WantsScores(std::size_t /*distance*/) const { return false; }
  // Guesses for a layer to come; after Begin of the present one, the nearest
  // layer first.
  virtual void Foresee(const LookAhead& /*ahead*/) {}
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_EXPERT_SOURCE_H_
