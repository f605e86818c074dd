// RepackSource: the weights of a GGUF in pieces of a few MiB, in a given order,
// with the next pieces being read while one is worked on.
//
// Memory: kPieces buffers of kPieceBytes, each touched only when used.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_REPACK_SOURCE_H_
#define SLUICE_STORAGE_REPACK_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_plan.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

// Bytes of one part (or dense tensor): whole row groups in the layout rows8.
struct Piece {
  std::uint64_t unit = 0;
  std::size_t part = 0;
  SourceSlice slice;        // the whole part
  std::uint64_t begin = 0;  // within the slice
  std::size_t bytes = 0;
  bool is_last = false;  // of its part
};

inline constexpr std::size_t kPieceBytes = kMostGroupBytes;
// Of a piece, unless a row group is larger.
inline constexpr std::size_t kUsualPieceBytes = 1 << 20;

// The pieces of units [first, last), in order; none at the end.
class PieceSequence {
 public:
  PieceSequence(const ContainerPlan& plan, std::uint64_t first,
                std::uint64_t last)
      : plan_(plan), unit_(first), last_(last) {}
  std::optional<Piece> operator()();

 private:
  const ContainerPlan& plan_;
  std::uint64_t unit_;
  std::uint64_t last_;
  std::size_t part_ = 0;
  std::uint64_t begin_ = 0;
};

class RepackSource {
 public:
  static constexpr std::size_t kPieces = 4;

  // `next` gives the pieces in order, then none. `device` must outlive this.
  // Returns: kNoMemory.
  static Result<RepackSource> Create(
      ReadDevice& device, std::function<std::optional<Piece>()> next);
  RepackSource(RepackSource&&) noexcept = default;
  // Waits for the reads under way.
  ~RepackSource();

  // The next piece, and its bytes until the next call; none after the last.
  // Returns: as the device's reads.
  struct Loaded {
    Piece piece;
    std::span<const std::byte> bytes;
  };
  Result<std::optional<Loaded>> Next();

 private:
  struct Slot {
    AlignedBuffer buffer;
    bool landed = false;
  };
  struct Pending {
    Piece piece;
    std::size_t slot = 0;
  };

  RepackSource(ReadDevice& device, std::function<std::optional<Piece>()> next)
      : device_(&device), next_(std::move(next)) {}
  Result<void> Fill();
  Result<void> WaitFor(std::size_t slot);

  ReadDevice* device_;
  std::function<std::optional<Piece>()> next_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;
  std::deque<Pending> pending_;
  std::optional<std::size_t> held_;  // the slot that the caller looks at
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_REPACK_SOURCE_H_
