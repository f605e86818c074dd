// SequentialReader: bytes of one file in order, several reads ahead. Few and
// small ones, so that what lands is still in the processor's cache when it is
// looked at and when the next read lands there.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_SEQUENTIAL_READER_H_
#define SLUICE_STORAGE_SEQUENTIAL_READER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

class SequentialReader {
 public:
  static constexpr std::size_t kPieces = 8;
  static constexpr std::size_t kPieceBytes = 256 << 10;
  static constexpr std::size_t kBufferBytes = kPieces * kPieceBytes;

  // Bytes [begin, end) of the device's file 0, multiples of kIoAlignment; the
  // end may also be that of the file. `buffer`: kBufferBytes, aligned. Both
  // must outlive this, and the device must be idle.
  SequentialReader(ReadDevice& device, std::span<std::byte> buffer,
                   std::uint64_t begin, std::uint64_t end)
      : device_(device),
        buffer_(buffer),
        begin_(begin),
        at_(begin),
        next_(begin),
        end_(end) {}
  // Waits for the reads under way.
  ~SequentialReader();
  SequentialReader(const SequentialReader&) = delete;
  SequentialReader& operator=(const SequentialReader&) = delete;

  // The next bytes (at most kPieceBytes), until the next call; empty at the
  // end.
  // Returns: as the device's reads.
  Result<std::span<const std::byte>> Next();

 private:
  std::size_t SlotOf(std::uint64_t offset) const {
    return (offset - begin_) / kPieceBytes % kPieces;
  }
  std::size_t Length(std::uint64_t offset) const;

  ReadDevice& device_;
  const std::span<std::byte> buffer_;
  std::array<bool, kPieces> landed_ = {};
  const std::uint64_t begin_;
  std::uint64_t at_;    // next to hand out
  std::uint64_t next_;  // next to read
  const std::uint64_t end_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_SEQUENTIAL_READER_H_
