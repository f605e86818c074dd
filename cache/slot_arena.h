// SlotArena: the expert budget as one allocation of equal slots.
//
// Allocated once, never grown. Pages that were never written, or discarded
// since, cost nothing.
//
// Thread safety: thread-compatible; distinct slots may be used concurrently.
#ifndef SLUICE_CACHE_SLOT_ARENA_H_
#define SLUICE_CACHE_SLOT_ARENA_H_

#include <cstddef>
#include <cstdint>

#include "storage/aligned_buffer.h"
#include "storage/result.h"

namespace sluice::cache {

class SlotArena {
 public:
  SlotArena() = default;
  // Returns: kInvalidArgument (zero, unaligned, overflow), kNoMemory.
  static Result<SlotArena> Allocate(std::size_t slots, std::size_t slot_bytes,
                                    storage::AlignedBuffer::Options options);

  std::size_t slots() const { return slots_; }
  std::size_t slot_bytes() const { return slot_bytes_; }
  // REQUIRES: slot < slots().
  std::byte* slot(std::uint32_t slot) {
    return buffer_.data() + slot * slot_bytes_;
  }

  // The slots from `first` on lose their contents, and their pages go back to
  // the system until they are written. REQUIRES: first <= slots(); no reads
  // into them are in flight.
  void DiscardFrom(std::size_t first) {
    const std::size_t offset = first * slot_bytes_;
    buffer_.Discard(offset, buffer_.size() - offset);
  }

  // Likewise what is beyond the first `kept` bytes of a slot.
  // REQUIRES: slot < slots(); kept <= slot_bytes().
  void DiscardEnd(std::uint32_t slot, std::size_t kept) {
    buffer_.Discard(slot * slot_bytes_ + kept, slot_bytes_ - kept);
  }
  // Whether huge pages are advised, as AlignedBuffer::Options.
  void AdviseHugePages(bool advise) { buffer_.AdviseHugePages(advise); }

 private:
  storage::AlignedBuffer buffer_;
  std::size_t slots_ = 0;
  std::size_t slot_bytes_ = 0;
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_SLOT_ARENA_H_
