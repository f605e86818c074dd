// PromptRoom: how long the chunks of a prompt are, and where their activations
// lie.
//
// A chunk may need every expert of a layer and reads each at most once, so the
// fewer the chunks the fewer the reads; but activations of long chunks take
// memory that decoding would rather have for experts. So the standing workspace
// is small, and a longer prompt borrows expert slots while it runs.
//
// Thread safety: a value and free functions.
#ifndef SLUICE_ENGINE_PROMPT_ROOM_H_
#define SLUICE_ENGINE_PROMPT_ROOM_H_

#include <cstddef>

#include "engine/model_config.h"

namespace sluice {

struct PromptRoom {
  std::size_t chunk = 0;       // tokens
  std::size_t lent_slots = 0;  // 0: the standing workspace does
};

struct PromptRoomLimits {
  std::size_t standing_chunk = 0;  // tokens that need no loan
  std::size_t slots = 0;           // of the cache; 0: nothing can be lent
  std::size_t slot_bytes = 0;
};

// The fewest chunks for a prompt of `tokens`, as equal as may be, that leave
// half of the slots to experts and the experts of one token at one layer.
// REQUIRES: tokens > 0, standing_chunk > 0.
PromptRoom RoomForPrompt(const ModelConfig& config,
                         const PromptRoomLimits& limits, std::size_t tokens);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PROMPT_ROOM_H_
