#include "storage/piece_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "storage/aligned_buffer.h"

namespace sluice::storage {
namespace {

// A read that is interrupted this often is not going to succeed.
constexpr unsigned kMaxRetries = 1000;

// ECANCELED: the kernel drops what a thread had queued when that thread ends.
bool AsksForRetry(int error) {
  return error == EINTR || error == EAGAIN || error == ECANCELED;
}

}  // namespace

void PieceQueue::Add(std::span<const ReadRequest> requests) {
  for (const ReadRequest& request : requests) {
    if (free_slots_.empty()) {
      free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t index = free_slots_.back();
    free_slots_.pop_back();
    slots_[index] = Slot{.request = request, .live = true};
    QueueOf(slots_[index]).push_back(index);
  }
}

void PieceQueue::Cancel(std::uint64_t tag) {
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (!slot.live || slot.cancelled || slot.request.tag != tag ||
        slot.request.read_class != ReadClass::kPrefetch) {
      continue;
    }
    slot.cancelled = true;
    StopStarting(index);
    Settle(index);
  }
}

void PieceQueue::Promote(std::uint64_t tag) {
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (!slot.live || slot.cancelled || slot.request.tag != tag ||
        slot.request.read_class != ReadClass::kPrefetch) {
      continue;
    }
    slot.request.read_class = ReadClass::kDemand;
    if (std::erase(prefetch_, index) != 0) demand_.push_back(index);
  }
}

Piece PieceQueue::Next() {
  assert(has_next());
  std::deque<std::uint32_t>& queue = demand_.empty() ? prefetch_ : demand_;
  const std::uint32_t index = queue.front();
  Slot& slot = slots_[index];
  const ReadRequest& request = slot.request;
  Piece piece;
  piece.slot = index;
  piece.file = request.file;
  piece.offset = request.offset + slot.started;
  piece.length = std::min(piece_bytes_, request.length - slot.started);
  piece.expected = std::min<std::uint64_t>(
      piece.length, files_[request.file].size - piece.offset);
  piece.destination = request.destination + slot.started;
  slot.started += piece.length;
  ++slot.in_flight;
  if (slot.started == request.length) queue.pop_front();
  return piece;
}

std::size_t PieceQueue::ReadBegin(const Piece& piece) const {
  return files_[piece.file].direct ? AlignDown(piece.landed) : piece.landed;
}

PieceRead PieceQueue::NextRead(const Piece& piece) const {
  const std::size_t begin = ReadBegin(piece);
  std::size_t length = piece.length - begin;
  if (max_bytes_per_read_ != 0) length = std::min(length, max_bytes_per_read_);
  return {piece.offset + begin, length, piece.destination + begin};
}

std::optional<Error> PieceQueue::Account(Piece& piece,
                                         std::int64_t result) const {
  const FileSet::File& file = files_[piece.file];
  const std::size_t begin = ReadBegin(piece);
  if (result < 0) {
    const int error = static_cast<int>(-result);
    if (AsksForRetry(error) && ++piece.retries <= kMaxRetries) return {};
    Error failure = ErrnoError(
        file.path,
        fmt::format("read failed at offset {}", piece.offset + begin), error);
    failure.code = ErrorCode::kIo;
    return failure;
  }
  const std::size_t end = begin + static_cast<std::size_t>(result);
  if (end <= piece.landed) {
    return TruncatedError(file, piece.offset + piece.landed);
  }
  piece.landed = end;
  return {};
}

bool PieceQueue::Advance(Piece& piece, std::int64_t result) {
  Slot& slot = slots_[piece.slot];
  std::optional<Error> error = Account(piece, result);
  const bool complete = piece.landed >= piece.expected;
  if (error && !slot.error) {
    slot.error = std::move(error);
    StopStarting(piece.slot);
  }
  // A piece of a request that failed or was cancelled is not continued.
  if (!complete && !slot.error && !slot.cancelled) return false;
  if (complete) slot.finished += piece.length;
  --slot.in_flight;
  Settle(piece.slot);
  return true;
}

std::deque<std::uint32_t>& PieceQueue::QueueOf(const Slot& slot) {
  return slot.request.read_class == ReadClass::kDemand ? demand_ : prefetch_;
}

void PieceQueue::StopStarting(std::uint32_t index) {
  std::erase(QueueOf(slots_[index]), index);
}

void PieceQueue::Settle(std::uint32_t index) {
  Slot& slot = slots_[index];
  if (slot.in_flight != 0) return;
  ReadCompletion completion{.tag = slot.request.tag};
  if (slot.error) {
    completion.error = std::move(slot.error);
  } else if (slot.finished == slot.request.length) {
    completion.bytes = slot.request.length;
  } else if (slot.cancelled) {
    completion.error =
        Error{ErrorCode::kCancelled,
              fmt::format("{}: prefetch at offset {} was cancelled",
                          files_[slot.request.file].path, slot.request.offset)};
  } else {
    return;  // pieces to start
  }
  completed_.push_back(std::move(completion));
  slot = Slot{};
  free_slots_.push_back(index);
}

}  // namespace sluice::storage
