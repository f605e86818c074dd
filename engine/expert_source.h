// ExpertSource: where the expert half of a layer gets its weights from.
//
// A layer announces the experts it needs, then takes them in waves as they
// become ready, in any order, until all have been given. A wave's weights stay
// in place until the next call.
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

class ExpertSource {
 public:
  virtual ~ExpertSource() = default;

  // Starts whatever reads `experts` of `layer` need, all at once. The ids are
  // distinct, most wanted first, and stay valid until the last wave.
  // Returns: kIo.
  virtual Result<void> Begin(std::uint16_t layer,
                             std::span<const std::uint16_t> experts) = 0;
  // The experts that are ready; blocks only when there is none yet. Empty when
  // all have been given. After an error the layer is over: nothing is in
  // flight and nothing is pinned.
  // Returns: kIo, kInternal.
  virtual Result<std::span<const ReadyExpert>> NextWave() = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_EXPERT_SOURCE_H_
