#include "storage/repack_source.h"

#include <algorithm>

namespace sluice::storage {

std::optional<Piece> PieceSequence::operator()() {
  if (unit_ >= last_) return std::nullopt;
  Piece piece;
  piece.unit = unit_;
  piece.part = part_;
  piece.slice = plan_.Source(unit_, part_);
  piece.begin = begin_;
  std::uint64_t most = kUsualPieceBytes;
  if (piece.slice.layout == MatrixLayout::kRows8) {
    // The plan leaves groups larger than kPieceBytes in rows.
    const std::uint64_t group = piece.slice.row_bytes * kRowGroup;
    most = std::max<std::uint64_t>(1, kUsualPieceBytes / group) * group;
  }
  piece.bytes = static_cast<std::size_t>(
      std::min<std::uint64_t>(most, piece.slice.bytes - begin_));
  begin_ += piece.bytes;
  piece.is_last = begin_ == piece.slice.bytes;
  if (piece.is_last) {
    begin_ = 0;
    if (++part_ == plan_.parts_of(unit_)) {
      part_ = 0;
      ++unit_;
    }
  }
  return piece;
}

Result<RepackSource> RepackSource::Create(
    ReadDevice& device, std::function<std::optional<Piece>()> next) {
  RepackSource source(device, std::move(next));
  for (std::size_t i = 0; i < kPieces; ++i) {
    // A piece may begin and end within a block.
    SLUICE_ASSIGN(AlignedBuffer buffer,
                  AlignedBuffer::Allocate(kPieceBytes + 2 * kIoAlignment,
                                          {.huge_pages = true}));
    source.slots_.push_back({std::move(buffer)});
    source.free_.push_back(i);
  }
  return source;
}

RepackSource::~RepackSource() {
  if (slots_.empty()) return;  // moved from
  std::vector<ReadCompletion> completions;
  while (device_->in_flight() > 0) {
    completions.clear();
    if (!device_->Wait(completions)) break;
  }
}

Result<std::optional<RepackSource::Loaded>> RepackSource::Next() {
  if (held_) free_.push_back(*held_);
  held_.reset();
  SLUICE_TRY(Fill());
  if (pending_.empty()) return std::optional<Loaded>();
  const Pending pending = pending_.front();
  SLUICE_TRY(WaitFor(pending.slot));
  pending_.pop_front();
  held_ = pending.slot;
  const Piece& piece = pending.piece;
  const std::uint64_t lead = (piece.slice.offset + piece.begin) % kIoAlignment;
  return Loaded{piece,
                slots_[pending.slot].buffer.span().subspan(lead, piece.bytes)};
}

Result<void> RepackSource::Fill() {
  while (!free_.empty()) {
    const std::optional<Piece> piece = next_();
    if (!piece) return {};
    const std::size_t slot = free_.back();
    free_.pop_back();
    slots_[slot].landed = false;
    pending_.push_back({*piece, slot});
    const std::uint64_t begin = piece->slice.offset + piece->begin;
    const std::uint64_t from = AlignDown(begin);
    const ReadRequest request = {.file = piece->slice.file,
                                 .offset = from,
                                 .length = static_cast<std::size_t>(
                                     AlignUp(begin + piece->bytes) - from),
                                 .destination = slots_[slot].buffer.data(),
                                 .tag = slot};
    SLUICE_TRY(device_->Submit({&request, 1}));
  }
  return {};
}

Result<void> RepackSource::WaitFor(std::size_t slot) {
  std::vector<ReadCompletion> completions;
  while (!slots_[slot].landed) {
    completions.clear();
    SLUICE_TRY(device_->Wait(completions));
    for (ReadCompletion& completion : completions) {
      if (completion.error) {
        return tl::unexpected<Error>(std::move(*completion.error));
      }
      slots_[completion.tag].landed = true;
    }
  }
  return {};
}

}  // namespace sluice::storage
