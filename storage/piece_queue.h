// PieceQueue: the bookkeeping that the asynchronous backends share. It turns
// requests into pieces, decides which piece is read next, and turns the
// outcomes of pieces into completions. It does no I/O.
//
// Invariants:
//   1. Pieces of demand requests come before those of prefetch requests; within
//      a class, requests come in the order of submission and a request's pieces
//      in the order of the file, so that the first expert asked for is complete
//      first.
//   2. A request completes exactly once, and only when none of its pieces is
//      with the operating system: its destination is never written afterwards.
//   3. After an error or a cancellation no further piece of the request starts.
//
// Thread safety: thread-compatible; the caller locks.
#ifndef SLUICE_STORAGE_PIECE_QUEUE_H_
#define SLUICE_STORAGE_PIECE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "storage/file_set.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

// A part of one request: what is read with one system call, or with several
// when reads come back short.
struct Piece {
  std::uint32_t slot = 0;  // of the request, for PieceQueue
  std::uint32_t file = 0;
  std::uint64_t offset = 0;  // in the file
  std::size_t length = 0;    // a multiple of kIoAlignment
  std::size_t expected = 0;  // of `length`, the bytes that the file holds
  std::byte* destination = nullptr;
  std::size_t landed = 0;  // bytes read so far
  unsigned retries = 0;    // reads that asked to be repeated
};

// The next read of a piece: `length` bytes from `offset` into `destination`.
struct PieceRead {
  std::uint64_t offset = 0;
  std::size_t length = 0;
  std::byte* destination = nullptr;
};

class PieceQueue {
 public:
  // `files` must outlive the queue.
  PieceQueue(const FileSet& files, const DeviceOptions& options)
      : files_(files),
        piece_bytes_(options.piece_bytes),
        max_bytes_per_read_(options.max_bytes_per_read) {}

  void Add(std::span<const ReadRequest> requests);
  void Cancel(std::uint64_t tag);
  void Promote(std::uint64_t tag);

  bool has_next() const { return !demand_.empty() || !prefetch_.empty(); }
  // Starts a piece. REQUIRES: has_next().
  Piece Next();
  PieceRead NextRead(const Piece& piece) const;
  // Records that the piece's read returned `result` bytes, or -errno. True when
  // the piece is over; else NextRead() is to be read as well.
  bool Advance(Piece& piece, std::int64_t result);

  // Requests that are over, oldest first; the caller takes them.
  std::vector<ReadCompletion>& completed() { return completed_; }

 private:
  struct Slot {
    ReadRequest request;
    std::size_t started = 0;   // bytes given out as pieces
    std::size_t finished = 0;  // bytes of pieces that landed
    unsigned in_flight = 0;    // pieces given out and not over
    bool live = false;
    bool cancelled = false;
    std::optional<Error> error = {};
  };

  // Where a direct read may continue: reads start at multiples of kIoAlignment.
  std::size_t ReadBegin(const Piece& piece) const;
  // The error of a read, if it had one, else none with `piece` moved on.
  std::optional<Error> Account(Piece& piece, std::int64_t result) const;
  std::deque<std::uint32_t>& QueueOf(const Slot& slot);
  // Gives out no more pieces of the request.
  void StopStarting(std::uint32_t index);
  // Completes the request if it is over.
  void Settle(std::uint32_t index);

  const FileSet& files_;
  const std::size_t piece_bytes_;
  const std::size_t max_bytes_per_read_;  // 0: no limit

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  // Slots with pieces to start.
  std::deque<std::uint32_t> demand_;
  std::deque<std::uint32_t> prefetch_;
  std::vector<ReadCompletion> completed_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_PIECE_QUEUE_H_
