// The experts of a container: one record each.
//
// A record whose parts are all stored is read to the start of its slot and used
// in place. One with a compressed part is read to the end of the slot, and its
// parts are unpacked in order, each to where it would begin if nothing before
// it were compressed. A slot is long enough that what is written never runs
// ahead of what is still to be read, by zstd's own rule for in-place use.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_reader.h"
#include "storage/expert_source.h"
#include "storage/header_file.h"
#include "storage/plane_parts.h"
#include "storage/xxh3.h"
#include "storage/zstd_codec.h"

namespace sluice::storage {
namespace {

constexpr std::size_t kParts = kPartNames.size();
// Those that are read: the first three, and where both planes are read all six.
using Parts = std::span<const PartEntry>;

bool IsPacked(const PartEntry& part) {
  return Codec{part.codec} != Codec::kStored;
}

// Where each part's weights begin in the slot.
std::array<std::size_t, kPlaneParts> Places(Parts parts) {
  std::array<std::size_t, kPlaneParts> places = {};
  if (std::ranges::none_of(parts, IsPacked)) {
    for (std::size_t i = 0; i < parts.size(); ++i) places[i] = parts[i].offset;
    return places;
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    places[i] = at;
    at = AlignUp(at + parts[i].raw_bytes, kPartAlignment);
  }
  return places;
}

// Bytes that are read of a record: to the end of the last part, in pages.
std::size_t RecordBytes(Parts parts) {
  return AlignUp(parts.back().offset + parts.back().stored_bytes);
}

// Where in its slot a record may be read to at the earliest.
std::size_t FirstStaging(Parts parts) {
  if (std::ranges::none_of(parts, IsPacked)) return 0;
  const auto places = Places(parts);
  std::size_t staging = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const PartEntry& part = parts[i];
    const std::size_t margin =
        IsPacked(part) ? ZstdDecompressor::InPlaceMargin(part.raw_bytes) : 0;
    const std::size_t written = places[i] + part.raw_bytes + margin;
    const std::size_t read = part.offset + part.stored_bytes;
    if (written > read) staging = std::max(staging, written - read);
  }
  return AlignUp(staging);
}

// Decompressors that are not in use at the moment.
class DecompressorPool {
 public:
  Result<ZstdDecompressor> Take() {
    {
      const std::scoped_lock lock(mutex_);
      if (!idle_.empty()) {
        ZstdDecompressor zstd = std::move(idle_.back());
        idle_.pop_back();
        return zstd;
      }
    }
    return ZstdDecompressor::Create();
  }
  void Return(ZstdDecompressor zstd) {
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(zstd));
  }

 private:
  std::mutex mutex_;
  std::vector<ZstdDecompressor> idle_;  // guarded by mutex_
};

class ContainerExperts : public ExpertSource {
 public:
  ContainerExperts(const ContainerReader& container, VerifyReads verify,
                   PlaneLevel level, std::vector<bool> low)
      : path_(container.path()),
        index_(container.shared_index()),
        verify_(verify),
        level_(level),
        low_(std::move(low)),
        seen_((index_->records.size() + 15) / 16) {
    layers_ = index_->header.layers;
    experts_ = index_->header.experts;
    for (std::size_t i = 0; i < index_->records.size(); ++i) {
      const Parts parts = PartsOf(i);
      slot_bytes_ =
          std::max(slot_bytes_, FirstStaging(parts) + RecordBytes(parts));
      has_planes_ = has_planes_ || parts.size() == kPlaneParts;
    }
  }

  ExpertReads Reads(ExpertId id, std::byte* slot, ReadClass read_class,
                    std::uint64_t tag, PlaneSet planes) const override;
  std::uint64_t ReadBytes(ExpertId id, PlaneSet planes) const override {
    const Parts parts = PartsOf(id, planes);
    return RecordBytes(parts) - FirstByte(parts, planes);
  }
  std::uint64_t WeightBytes(ExpertId id) const override {
    std::uint64_t bytes = 0;
    for (const PartEntry& part : PartsOf(id)) bytes += part.raw_bytes;
    return bytes;
  }
  bool HasPlanes(ExpertId id) const override {
    return PartsOf(id).size() == kPlaneParts;
  }
  Result<void> Finish(ExpertId id, std::byte* slot,
                      PlaneSet planes) const override;
  ExpertView View(ExpertId id, const std::byte* slot,
                  PlaneSet planes) const override;
  ExpertView Shape(std::uint16_t layer) const override;

 private:
  Parts PartsOf(std::size_t record) const {
    const std::span<const PartEntry> parts = index_->record_parts(record);
    const bool low = !low_.empty() && low_[record];
    const bool both =
        level_ == PlaneLevel::kFull && !low && storage::HasPlanes(parts);
    return parts.first(both ? kPlaneParts : kParts);
  }
  Parts PartsOf(ExpertId id) const {
    return PartsOf(index_->record_number(id));
  }
  // Those of a set of planes. REQUIRES: there are such.
  Parts PartsOf(ExpertId id, PlaneSet planes) const {
    const Parts parts = PartsOf(id);
    if (planes == PlaneSet::kAll) return parts;
    return planes == PlaneSet::kBase ? parts.first(kParts)
                                     : parts.subspan(kParts);
  }
  // Where those parts begin in their record: the residual plane begins on a
  // page.
  static std::size_t FirstByte(Parts parts, PlaneSet planes) {
    return planes == PlaneSet::kResidual ? std::size_t{parts[0].offset} : 0;
  }
  // Where in its slot a record is read to.
  std::size_t Staging(Parts parts) const {
    if (std::ranges::none_of(parts, IsPacked)) return 0;
    return slot_bytes_ - RecordBytes(parts);
  }
  // Matrix i of a record whose parts lie at `places` in `slot`; without data
  // if that is null.
  static MatrixView Matrix(Parts parts, std::size_t i, const std::byte* slot) {
    const auto places = Places(parts);
    const auto data = [&](std::size_t part) {
      return slot == nullptr ? nullptr : slot + places[part];
    };
    const PartEntry& part = parts[i];
    MatrixView view = {
        .type = TensorType{part.type},
        .rows = part.rows,
        .columns = part.columns,
        .row_bytes = static_cast<std::size_t>(part.raw_bytes / part.rows),
        .data = data(i),
        .layout = MatrixLayout{part.layout}};
    if (parts.size() == kPlaneParts) {
      view.residual = data(kParts + i);
      view.residual_row_bytes =
          static_cast<std::size_t>(parts[kParts + i].raw_bytes / part.rows);
    }
    return view;
  }

  Result<void> CheckSums(ExpertId id, const std::byte* record,
                         Parts parts) const;
  Result<void> Unpack(ExpertId id, std::byte* slot) const;
  tl::unexpected<Error> Corrupt(ExpertId id, const PartEntry& part,
                                std::string_view what) const;

  const std::string path_;
  const std::shared_ptr<const ContainerIndex> index_;
  const VerifyReads verify_;
  const PlaneLevel level_;
  const std::vector<bool> low_;  // [records] or empty
  // Two bits per record: the checksums of its first three parts, and of what
  // comes after them, were right once. Setting a bit twice is
  // harmless, so no order is asked of the operations.
  mutable std::vector<std::atomic<std::uint32_t>> seen_;
  mutable DecompressorPool pool_;
};

ExpertReads ContainerExperts::Reads(ExpertId id, std::byte* slot,
                                    ReadClass read_class, std::uint64_t tag,
                                    PlaneSet planes) const {
  const Parts parts = PartsOf(id, planes);
  const std::size_t begin = FirstByte(parts, planes);
  ExpertReads reads;
  reads.requests[reads.count++] = {
      .file = 0,
      .offset = index_->record(id).offset + begin,
      .length = RecordBytes(parts) - begin,
      .destination = slot + Staging(PartsOf(id)) + begin,
      .read_class = read_class,
      .tag = tag};
  return reads;
}

Result<void> ContainerExperts::Finish(ExpertId id, std::byte* slot,
                                      PlaneSet planes) const {
  const std::size_t record = index_->record_number(id);
  const Parts parts = PartsOf(id);
  std::atomic<std::uint32_t>& word = seen_[record / 16];
  // Of what was read: bit 0 the first three parts, bit 1 the others.
  const std::uint32_t read = planes == PlaneSet::kAll    ? 3
                             : planes == PlaneSet::kBase ? 1
                                                         : 2;
  const std::uint32_t bits = read << (2 * (record % 16));
  const bool due = verify_ == VerifyReads::kAlways ||
                   (verify_ == VerifyReads::kFirst &&
                    (word.load(std::memory_order_relaxed) & bits) != bits);
  if (due) {
    SLUICE_TRY(CheckSums(id, slot + Staging(parts), PartsOf(id, planes)));
    word.fetch_or(bits, std::memory_order_relaxed);
  }
  if (std::ranges::none_of(parts, IsPacked)) return {};
  return Unpack(id, slot);
}

Result<void> ContainerExperts::CheckSums(ExpertId id, const std::byte* record,
                                         Parts parts) const {
  for (const PartEntry& part : parts) {
    const std::span bytes(record + part.offset,
                          static_cast<std::size_t>(part.stored_bytes));
    if (HashXxh3(bytes) != part.checksum) {
      return Corrupt(id, part, "does not have its checksum");
    }
  }
  return {};
}

Result<void> ContainerExperts::Unpack(ExpertId id, std::byte* slot) const {
  const Parts parts = PartsOf(id);
  const auto places = Places(parts);
  const std::byte* record = slot + Staging(parts);
  SLUICE_ASSIGN(ZstdDecompressor zstd, pool_.Take());
  Result<void> result;
  for (std::size_t i = 0; i < parts.size() && result; ++i) {
    const PartEntry& part = parts[i];
    const std::byte* from = record + part.offset;
    const auto raw_bytes = static_cast<std::size_t>(part.raw_bytes);
    if (!IsPacked(part)) {
      std::memmove(slot + places[i], from, raw_bytes);
    } else if (!zstd.Decompress(
                   {from, static_cast<std::size_t>(part.stored_bytes)},
                   {slot + places[i], raw_bytes})) {
      result = Corrupt(id, part, "cannot be decompressed");
    }
  }
  pool_.Return(std::move(zstd));
  return result;
}

ExpertView ContainerExperts::View(ExpertId id, const std::byte* slot,
                                  PlaneSet planes) const {
  const Parts parts = PartsOf(id, planes);
  return {.gate = Matrix(parts, 0, slot),
          .up = Matrix(parts, 1, slot),
          .down = Matrix(parts, 2, slot)};
}

ExpertView ContainerExperts::Shape(std::uint16_t layer) const {
  ExpertId largest = {layer, 0};
  for (std::uint32_t i = 0; has_planes_ && i < experts_; ++i) {
    const ExpertId id = {layer, static_cast<std::uint16_t>(i)};
    if (HasPlanes(id)) largest = id;
  }
  return View(largest, nullptr, PlaneSet::kAll);
}

tl::unexpected<Error> ContainerExperts::Corrupt(ExpertId id,
                                                const PartEntry& part,
                                                std::string_view what) const {
  const std::size_t number = part.level * kParts + part.kind;
  return Fail(
      ErrorCode::kCorrupt,
      fmt::format("{}: layer {}, expert {}, {} ({} bytes from byte {}) {}; the "
                  "file or the device is damaged: run verify, then copy the "
                  "file again or repack the model",
                  OneLine(path_), id.layer, id.expert, PartName(part, number),
                  part.stored_bytes, index_->record(id).offset + part.offset,
                  what));
}

}  // namespace

Result<std::unique_ptr<const ExpertSource>> MakeContainerSource(
    const ContainerReader& container, VerifyReads verify, PlaneLevel level,
    std::vector<bool> low) {
  return std::make_unique<const ContainerExperts>(container, verify, level,
                                                  std::move(low));
}

}  // namespace sluice::storage
