#include "cache/slot_arena.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

namespace sluice::cache {

Result<SlotArena> SlotArena::Allocate(std::size_t slots, std::size_t slot_bytes,
                                      storage::AlignedBuffer::Options options) {
  if (slots == 0 || slot_bytes == 0 ||
      slot_bytes % storage::kIoAlignment != 0 ||
      slots > std::numeric_limits<std::size_t>::max() / slot_bytes) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("cannot make {} slots of {} bytes", slots, slot_bytes));
  }
  SlotArena arena;
  SLUICE_ASSIGN(arena.buffer_,
                storage::AlignedBuffer::Allocate(slots * slot_bytes, options));
  arena.slots_ = slots;
  arena.slot_bytes_ = slot_bytes;
  return arena;
}

}  // namespace sluice::cache
