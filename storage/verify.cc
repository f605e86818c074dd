#include "storage/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_reader.h"
#include "storage/expert_store.h"
#include "storage/header_file.h"
#include "storage/xxh3.h"

namespace sluice::storage {
namespace {

constexpr std::size_t kPieceBytes = 4 << 20;
constexpr std::size_t kPieces = 8;

// A run of bytes with a checksum; what lies between extents must be zero.
struct Extent {
  enum class Kind { kSection, kDense, kPart };
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  Kind kind = Kind::kSection;
  std::size_t number = 0;  // of the section, dense tensor or part
};

// Header and footer are pages that opening has compared whole, up to their own
// checksums: extents without one.
std::vector<Extent> ExtentsOf(const ContainerReader& container) {
  std::vector<Extent> extents;
  const ContainerHeader& header = container.header();
  for (const auto kind :
       {SectionKind::kMetadata, SectionKind::kTokenizer, SectionKind::kIndex}) {
    const SectionEntry& entry = header.section(kind);
    extents.push_back({entry.offset, entry.stored_bytes, entry.checksum,
                       Extent::Kind::kSection, static_cast<std::size_t>(kind)});
  }
  const ContainerIndex& index = container.index();
  for (std::size_t i = 0; i < index.dense.size(); ++i) {
    const DenseEntry& entry = index.dense[i];
    extents.push_back(
        {entry.offset, entry.bytes, entry.checksum, Extent::Kind::kDense, i});
  }
  const std::size_t width = index.header.parts_per_record;
  for (std::size_t i = 0; i < index.parts.size(); ++i) {
    const PartEntry& entry = index.parts[i];
    extents.push_back({index.records[i / width].offset + entry.offset,
                       entry.stored_bytes, entry.checksum, Extent::Kind::kPart,
                       i});
  }
  return extents;
}

// Takes the bytes of the file in order and holds them against the extents.
class Checker {
 public:
  explicit Checker(const ContainerReader& container)
      : container_(container),
        extents_(ExtentsOf(container)),
        at_(kPageBytes) {}

  Result<void> Take(std::span<const std::byte> bytes) {
    while (!bytes.empty() || ExtentIsEmpty()) {
      const std::size_t count = NextRun(bytes.size());
      const auto run = bytes.first(count);
      bytes = bytes.subspan(count);
      SLUICE_TRY(InExtent() ? Hash(run) : CheckZero(run));
      at_ += count;
      SLUICE_TRY(CloseExtent());
    }
    return {};
  }

 private:
  bool InExtent() const {
    return next_ < extents_.size() && at_ >= extents_[next_].offset;
  }
  bool ExtentIsEmpty() const {
    return InExtent() && extents_[next_].bytes == 0;
  }
  // Bytes up to where an extent begins or ends.
  std::size_t NextRun(std::size_t most) const {
    if (next_ == extents_.size()) return most;
    const Extent& extent = extents_[next_];
    const std::uint64_t end =
        InExtent() ? extent.offset + extent.bytes : extent.offset;
    return static_cast<std::size_t>(std::min<std::uint64_t>(most, end - at_));
  }
  Result<void> Hash(std::span<const std::byte> bytes) {
    hash_.Update(bytes);
    return {};
  }
  Result<void> CheckZero(std::span<const std::byte> bytes) const {
    const auto found = std::ranges::find_if(
        bytes, [](std::byte byte) { return byte != std::byte{}; });
    if (found == bytes.end()) return {};
    return Corrupt(
        fmt::format("byte {} is padding and not zero",
                    at_ + static_cast<std::uint64_t>(found - bytes.begin())));
  }
  Result<void> CloseExtent() {
    if (!InExtent()) return {};
    const Extent& extent = extents_[next_];
    if (at_ < extent.offset + extent.bytes) return {};
    if (hash_.Digest() != extent.checksum) {
      return Corrupt(
          fmt::format("{} ({} bytes from byte {}) does not have its "
                      "checksum",
                      NameOf(extent), extent.bytes, extent.offset));
    }
    hash_.Reset();
    ++next_;
    return {};
  }
  std::string NameOf(const Extent& extent) const {
    const ContainerIndex& index = container_.index();
    switch (extent.kind) {
      case Extent::Kind::kSection:
        return fmt::format(
            "section {}", SectionName(static_cast<SectionKind>(extent.number)));
      case Extent::Kind::kDense:
        return fmt::format("section dense: tensor {}",
                           OneLine(index.name(index.dense[extent.number])));
      case Extent::Kind::kPart:
        break;
    }
    const std::size_t record = extent.number / index.header.parts_per_record;
    const std::size_t part = extent.number % index.header.parts_per_record;
    return fmt::format("section experts: layer {}, expert {}, {}",
                       record / index.header.experts,
                       record % index.header.experts,
                       part < kPartNames.size() ? std::string(kPartNames[part])
                                                : fmt::format("part {}", part));
  }
  tl::unexpected<Error> Corrupt(const std::string& what) const {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: {}; the file is damaged: copy it again or "
                            "repack the model",
                            OneLine(container_.path()), what));
  }

  const ContainerReader& container_;
  const std::vector<Extent> extents_;
  std::uint64_t at_;
  std::size_t next_ = 0;
  Xxh3 hash_;
};

// Unpacks each record as a run does: a checksum speaks for the bytes of a part,
// not for their being a frame of the right size. Does nothing where records are
// not compressed.
class Unpacker {
 public:
  static Result<Unpacker> Create(const ContainerReader& container) {
    SLUICE_ASSIGN(ExpertStore store,
                  ExpertStore::FromContainer(container, VerifyReads::kNever));
    Unpacker unpacker(container, std::move(store));
    if ((container.header().options & kOptionCompressed) == 0) {
      unpacker.next_ = container.index().records.size();
      return unpacker;
    }
    SLUICE_ASSIGN(unpacker.slot_,
                  AlignedBuffer::Allocate(unpacker.store_.slot_bytes()));
    return unpacker;
  }

  // The bytes of the file from `at` on, in order.
  Result<void> Take(std::uint64_t at, std::span<const std::byte> bytes) {
    const std::uint64_t end = at + bytes.size();
    for (; next_ < container_->index().records.size(); ++next_) {
      const ExpertId id = {
          static_cast<std::uint16_t>(next_ / store_.experts()),
          static_cast<std::uint16_t>(next_ % store_.experts())};
      const ReadRequest read =
          store_.Reads(id, slot_.data(), ReadClass::kDemand, 0).requests[0];
      const std::uint64_t from = std::max(at, read.offset);
      const std::uint64_t to = std::min(end, read.offset + read.length);
      if (from < to) {
        std::ranges::copy(bytes.subspan(from - at, to - from),
                          read.destination + (from - read.offset));
      }
      if (end < read.offset + read.length) break;
      if (store_.Finish(id, slot_.data())) continue;
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("{}: section experts: layer {}, expert {} ({} "
                              "bytes from byte {}) has its checksums and "
                              "cannot be decompressed; repack the model",
                              OneLine(container_->path()), id.layer, id.expert,
                              read.length, read.offset));
    }
    return {};
  }

 private:
  Unpacker(const ContainerReader& container, ExpertStore store)
      : container_(&container), store_(std::move(store)) {}

  const ContainerReader* container_;
  ExpertStore store_;
  AlignedBuffer slot_;
  std::size_t next_ = 0;  // record
};

// The file's bytes [begin, end) in order, several reads ahead.
class SequentialReader {
 public:
  SequentialReader(ReadDevice& device, std::uint64_t begin, std::uint64_t end)
      : device_(device), begin_(begin), at_(begin), next_(begin), end_(end) {}
  ~SequentialReader() {
    std::vector<ReadCompletion> completions;
    while (device_.in_flight() > 0 && device_.Wait(completions)) {
    }
  }
  SequentialReader(const SequentialReader&) = delete;
  SequentialReader& operator=(const SequentialReader&) = delete;

  Result<void> Allocate() {
    SLUICE_ASSIGN(buffer_, AlignedBuffer::Allocate(kPieces * kPieceBytes));
    return {};
  }

  // The next bytes, until the next call; empty at the end.
  Result<std::span<const std::byte>> Next() {
    for (; next_ < end_ && next_ < at_ + kPieces * kPieceBytes;
         next_ += kPieceBytes) {
      const std::size_t slot = SlotOf(next_);
      landed_[slot] = false;
      const ReadRequest request = {
          .file = 0,
          .offset = next_,
          .length = Length(next_),
          .destination = buffer_.data() + slot * kPieceBytes,
          .tag = slot};
      SLUICE_TRY(device_.Submit({&request, 1}));
    }
    if (at_ >= end_) return std::span<const std::byte>();
    const std::size_t slot = SlotOf(at_);
    std::vector<ReadCompletion> completions;
    while (!landed_[slot]) {
      completions.clear();
      SLUICE_TRY(device_.Wait(completions));
      for (ReadCompletion& completion : completions) {
        if (completion.error) {
          return tl::unexpected<Error>(std::move(*completion.error));
        }
        landed_[completion.tag] = true;
      }
    }
    const std::size_t length = Length(at_);
    at_ += kPieceBytes;
    return std::as_const(buffer_).span().subspan(slot * kPieceBytes, length);
  }

 private:
  std::size_t SlotOf(std::uint64_t offset) const {
    return (offset - begin_) / kPieceBytes % kPieces;
  }
  std::size_t Length(std::uint64_t offset) const {
    return static_cast<std::size_t>(
        std::min<std::uint64_t>(kPieceBytes, end_ - offset));
  }

  ReadDevice& device_;
  AlignedBuffer buffer_;
  std::array<bool, kPieces> landed_ = {};
  const std::uint64_t begin_;
  std::uint64_t at_;    // next to hand out
  std::uint64_t next_;  // next to read
  const std::uint64_t end_;
};

}  // namespace

Result<VerifyReport> VerifyContainer(
    const std::string& path,
    const std::function<bool(std::uint64_t, std::uint64_t)>& progress,
    const DeviceOptions& options) {
  SLUICE_ASSIGN(const ContainerReader container, ContainerReader::Open(path));
  SLUICE_ASSIGN(const auto device, OpenReadDevice({path}, options));
  const std::uint64_t total = container.header().file_bytes;
  SequentialReader reader(*device, kPageBytes, total - kPageBytes);
  SLUICE_TRY(reader.Allocate());
  Checker checker(container);
  SLUICE_ASSIGN(Unpacker unpacker, Unpacker::Create(container));
  std::uint64_t done = kPageBytes;
  while (true) {
    SLUICE_ASSIGN(const auto bytes, reader.Next());
    if (bytes.empty()) break;
    SLUICE_TRY(checker.Take(bytes));
    SLUICE_TRY(unpacker.Take(done, bytes));
    done += bytes.size();
    if (progress && !progress(done, total)) {
      return Fail(ErrorCode::kCancelled,
                  fmt::format("{}: verification was stopped", OneLine(path)));
    }
  }
  const ContainerIndex& index = container.index();
  return VerifyReport{
      .bytes = total,
      .dense_tensors = index.dense.size(),
      .records = index.records.size(),
      .parts = index.parts.size(),
      .compressed = (container.header().options & kOptionCompressed) != 0};
}

}  // namespace sluice::storage
