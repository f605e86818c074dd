#include "storage/extent_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "storage/header_file.h"
#include "storage/plane_parts.h"

namespace sluice::storage {

std::vector<Extent> SectionExtents(const ContainerHeader& header) {
  std::vector<Extent> extents;
  for (const auto kind :
       {SectionKind::kMetadata, SectionKind::kTokenizer, SectionKind::kIndex}) {
    const SectionEntry& entry = header.section(kind);
    extents.push_back({.offset = entry.offset,
                       .bytes = entry.stored_bytes,
                       .checksum = entry.checksum,
                       .kind = Extent::Kind::kSection,
                       .number = static_cast<std::size_t>(kind)});
  }
  return extents;
}

std::vector<Extent> UnitExtents(const ContainerIndex& index,
                                std::uint64_t first, std::uint64_t last) {
  std::vector<Extent> extents;
  const std::uint64_t dense = index.dense.size();
  for (std::uint64_t i = first; i < std::min(last, dense); ++i) {
    const DenseEntry& entry = index.dense[i];
    extents.push_back({.offset = entry.offset,
                       .bytes = entry.bytes,
                       .checksum = entry.checksum,
                       .kind = Extent::Kind::kDense,
                       .number = static_cast<std::size_t>(i)});
  }
  const std::size_t width = index.header.parts_per_record;
  for (std::uint64_t i = std::max(first, dense); i < last; ++i) {
    const auto record = static_cast<std::size_t>(i - dense);
    for (std::size_t part = 0; part < width; ++part) {
      const std::size_t number = record * width + part;
      const PartEntry& entry = index.parts[number];
      // Optional parts may be of a kind that this build does not know.
      const bool unpacks =
          part < kPartNames.size() && Codec{entry.codec} == Codec::kZstd;
      extents.push_back({.offset = index.records[record].offset + entry.offset,
                         .bytes = entry.stored_bytes,
                         .checksum = entry.checksum,
                         .kind = Extent::Kind::kPart,
                         .number = number,
                         .raw_bytes = unpacks ? entry.raw_bytes : 0});
    }
  }
  return extents;
}

Result<void> ExtentChecker::Take(std::span<const std::byte> bytes) {
  while (!bytes.empty() || ExtentIsEmpty()) {
    const auto run = bytes.first(NextRun(bytes.size()));
    bytes = bytes.subspan(run.size());
    const bool in_extent = InExtent();
    SLUICE_TRY(in_extent ? TakeExtent(run) : TakeZeros(run));
    at_ += run.size();
    if (in_extent) SLUICE_TRY(CloseExtent());
  }
  return {};
}

std::size_t ExtentChecker::NextRun(std::size_t most) const {
  if (expected_.empty()) return most;
  const Extent& extent = expected_.front();
  const std::uint64_t end =
      InExtent() ? extent.offset + extent.bytes : extent.offset;
  return static_cast<std::size_t>(std::min<std::uint64_t>(most, end - at_));
}

Result<void> ExtentChecker::TakeExtent(std::span<const std::byte> bytes) {
  hash_.Update(bytes);
  const Extent& extent = expected_.front();
  if (extent.raw_bytes == 0) return {};
  SLUICE_ASSIGN(const auto frame, Frame(extent));
  std::ranges::copy(
      bytes, frame.begin() + static_cast<std::ptrdiff_t>(at_ - extent.offset));
  return {};
}

Result<void> ExtentChecker::TakeZeros(std::span<const std::byte> bytes) const {
  const auto found = std::ranges::find_if(
      bytes, [](std::byte byte) { return byte != std::byte{}; });
  if (found == bytes.end()) return {};
  return Corrupt(
      fmt::format("byte {} is padding and not zero",
                  at_ + static_cast<std::uint64_t>(found - bytes.begin())));
}

Result<void> ExtentChecker::CloseExtent() {
  const Extent& extent = expected_.front();
  if (at_ < extent.offset + extent.bytes) return {};
  if (hash_.Digest() != extent.checksum) {
    return Corrupt(
        fmt::format("{} ({} bytes from byte {}) does not have its checksum",
                    NameOf(extent), extent.bytes, extent.offset));
  }
  hash_.Reset();
  if (extent.raw_bytes > 0) SLUICE_TRY(Unpack(extent));
  expected_.pop_front();
  return {};
}

Result<std::span<std::byte>> ExtentChecker::Frame(const Extent& extent) {
  const auto raw_bytes = static_cast<std::size_t>(extent.raw_bytes);
  const auto bytes = static_cast<std::size_t>(extent.bytes);
  const std::size_t room =
      std::max(raw_bytes + ZstdDecompressor::InPlaceMargin(raw_bytes), bytes);
  if (room_.size() < room) {
    SLUICE_ASSIGN(room_, AlignedBuffer::Allocate(room));
  }
  return room_.span().subspan(room - bytes, bytes);
}

// A checksum speaks for the bytes of a part, not for their being a frame of the
// right size.
Result<void> ExtentChecker::Unpack(const Extent& extent) {
  if (!zstd_) {
    SLUICE_ASSIGN(ZstdDecompressor zstd, ZstdDecompressor::Create());
    zstd_.emplace(std::move(zstd));
  }
  SLUICE_ASSIGN(const auto frame, Frame(extent));
  const auto raw =
      room_.span().first(static_cast<std::size_t>(extent.raw_bytes));
  if (zstd_->Decompress(frame, raw)) return {};
  return Fail(
      ErrorCode::kCorrupt,
      fmt::format("{}: {} ({} bytes from byte {}) has its checksum and "
                  "cannot be decompressed; repack the model",
                  OneLine(path_), NameOf(extent), extent.bytes, extent.offset));
}

std::string ExtentChecker::NameOf(const Extent& extent) const {
  switch (extent.kind) {
    case Extent::Kind::kHeader:
      return "header";
    case Extent::Kind::kFooter:
      return "footer";
    case Extent::Kind::kSection:
      return fmt::format("section {}",
                         SectionName(static_cast<SectionKind>(extent.number)));
    case Extent::Kind::kDense:
      return fmt::format("section dense: tensor {}",
                         OneLine(index_.name(index_.dense[extent.number])));
    case Extent::Kind::kPart:
      break;
  }
  const std::size_t record = extent.number / index_.header.parts_per_record;
  const std::size_t part = extent.number % index_.header.parts_per_record;
  return fmt::format("section experts: layer {}, expert {}, {}",
                     record / index_.header.experts,
                     record % index_.header.experts,
                     PartName(index_.parts[extent.number], part));
}

tl::unexpected<Error> ExtentChecker::Corrupt(const std::string& what) const {
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{}: {}; the file is damaged: copy it again or "
                          "repack the model",
                          OneLine(path_), what));
}

}  // namespace sluice::storage
