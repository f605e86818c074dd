#include "storage/container_index.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "storage/aligned_buffer.h"
#include "storage/gguf_parser.h"
#include "storage/header_file.h"
#include "storage/plane_parts.h"

namespace sluice::storage {
namespace {

// Copies entries to `at` and returns where they end.
template <typename Entry>
std::byte* Put(std::byte* at, std::span<const Entry> entries) {
  if (entries.empty()) return at;
  std::memcpy(at, entries.data(), entries.size_bytes());
  return at + entries.size_bytes();
}

// Whether [offset, offset + bytes) lies within [begin, end), without wrapping.
bool Within(std::uint64_t offset, std::uint64_t bytes, std::uint64_t begin,
            std::uint64_t end) {
  return offset >= begin && offset <= end && bytes <= end - offset;
}

class IndexParser {
 public:
  IndexParser(std::span<const std::byte> bytes, const ContainerHeader& header,
              const std::string& path)
      : bytes_(bytes), file_(header), path_(path) {}

  Result<ContainerIndex> Parse() {
    SLUICE_TRY(ParseTables());
    SLUICE_TRY(CheckDense());
    SLUICE_TRY(CheckRecords());
    SLUICE_TRY(CheckSums());
    return std::move(index_);
  }

 private:
  Result<void> ParseTables();
  Result<void> CheckCounts() const;
  Result<void> CheckDense() const;
  Result<void> CheckDenseEntry(std::size_t number) const;
  Result<void> CheckRecords() const;
  Result<void> CheckRecord(std::size_t number) const;
  Result<void> CheckPart(std::size_t record, std::size_t part) const;
  Result<void> CheckShapes(std::size_t record) const;
  Result<void> CheckSums() const;
  // Type, layout and size of a matrix or tensor of `rows` rows in all.
  Result<void> CheckStorage(std::string_view what, std::uint32_t type,
                            std::uint32_t layout, std::uint64_t columns,
                            std::uint64_t rows, std::uint64_t bytes) const;

  // Takes `count` entries from the table that comes next.
  template <typename Entry>
  void Take(std::size_t count, std::vector<Entry>& out) {
    out.resize(count);
    if (count > 0) {
      std::memcpy(out.data(), bytes_.data() + at_, count * sizeof(Entry));
    }
    at_ += count * sizeof(Entry);
  }
  // Where an entry is.
  std::uint64_t DensePlace(std::size_t number) const {
    return TablesOf(file_, index_).dense + number * sizeof(DenseEntry);
  }
  std::uint64_t RecordPlace(std::size_t number) const {
    return TablesOf(file_, index_).records + number * sizeof(RecordEntry);
  }
  std::string RecordName(std::size_t number) const {
    return fmt::format("record of layer {}, expert {}",
                       number / index_.header.experts,
                       number % index_.header.experts);
  }
  tl::unexpected<Error> Corrupt(const std::string& what) const {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: index: {}; the file is damaged: repack the "
                            "model or copy it again",
                            OneLine(path_), what));
  }

  std::span<const std::byte> bytes_;
  const ContainerHeader& file_;
  const std::string& path_;
  std::size_t at_ = 0;
  ContainerIndex index_;
};

Result<void> IndexParser::ParseTables() {
  if (bytes_.size() < sizeof(IndexHeader)) {
    return Corrupt(fmt::format("is {} bytes long", bytes_.size()));
  }
  std::memcpy(&index_.header, bytes_.data(), sizeof(IndexHeader));
  at_ = sizeof(IndexHeader);
  SLUICE_TRY(CheckCounts());
  const IndexHeader& header = index_.header;
  const std::size_t records = std::size_t{header.layers} * header.experts;
  Take(header.dense_count, index_.dense);
  Take(records, index_.records);
  Take(records * header.parts_per_record, index_.parts);
  const char* names = reinterpret_cast<const char*>(bytes_.data() + at_);
  index_.names.assign(names, static_cast<std::size_t>(header.name_bytes));
  return {};
}

Result<void> IndexParser::CheckCounts() const {
  const IndexHeader& header = index_.header;
  if (header.dense_count > kMaxContainerDense || header.layers == 0 ||
      header.layers > kMaxContainerLayers || header.experts == 0 ||
      header.experts > kMaxContainerExperts ||
      header.parts_per_record < kPartNames.size() ||
      header.parts_per_record > kMaxContainerParts ||
      header.name_bytes > bytes_.size()) {
    return Corrupt(fmt::format(
        "claims {} dense tensors, {} layers of {} experts of {} parts and {} "
        "bytes of names, beyond the format's limits",
        header.dense_count, header.layers, header.experts,
        header.parts_per_record, header.name_bytes));
  }
  if (header.zero != std::array<std::uint64_t, 5>{}) {
    return Corrupt("has unused bytes that are not zero");
  }
  if (IndexBytes(header) != bytes_.size()) {
    return Corrupt(fmt::format("is {} bytes long and its counts need {}",
                               bytes_.size(), IndexBytes(header)));
  }
  return {};
}

Result<void> IndexParser::CheckStorage(std::string_view what,
                                       std::uint32_t type, std::uint32_t layout,
                                       std::uint64_t columns,
                                       std::uint64_t rows,
                                       std::uint64_t bytes) const {
  const TensorTypeInfo* info = FindTensorType(type);
  if (info == nullptr) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: {} has weight type {}, which this build does "
                            "not know; use a newer build",
                            OneLine(path_), what, type));
  }
  const auto row_bytes = RowBytes(info->type, columns);
  if (!row_bytes || (rows > 0 && *row_bytes > kMaxContainerBytes / rows) ||
      bytes != *row_bytes * rows) {
    return Corrupt(fmt::format("{}: {} bytes are not {} rows of {} {} weights",
                               what, bytes, rows, columns, info->name));
  }
  if (layout == static_cast<std::uint32_t>(MatrixLayout::kRows)) return {};
  const bool plain = info->block_weights == 1;
  if (layout == static_cast<std::uint32_t>(MatrixLayout::kRows8) &&
      rows % kRowGroup == 0 && !plain) {
    return {};
  }
  return Corrupt(fmt::format("{}: layout {} is not one for {} rows of {}", what,
                             layout, rows, info->name));
}

Result<void> IndexParser::CheckDense() const {
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < index_.dense.size(); ++i) {
    SLUICE_TRY(CheckDenseEntry(i));
    if (!names.insert(index_.name(index_.dense[i])).second) {
      return Corrupt(fmt::format("tensor {} is there twice",
                                 QuoteName(index_.name(index_.dense[i]))));
    }
  }
  return {};
}

Result<void> IndexParser::CheckDenseEntry(std::size_t number) const {
  const DenseEntry& entry = index_.dense[number];
  const std::string place =
      fmt::format("dense entry {} at byte {}", number, DensePlace(number));
  if (entry.name_length == 0 || entry.name_length > kMaxContainerName ||
      !Within(entry.name_offset, entry.name_length, 0, index_.names.size())) {
    return Corrupt(fmt::format("{}: name of {} bytes at {} of {}", place,
                               entry.name_length, entry.name_offset,
                               index_.names.size()));
  }
  if (entry.zero != std::array<std::uint64_t, 3>{}) {
    return Corrupt(place + ": unused bytes are not zero");
  }
  std::uint64_t rows = 1;
  for (std::size_t i = 0; i < entry.ne.size(); ++i) {
    const std::uint64_t most = kMaxContainerBytes / rows;
    if (entry.ne[i] == 0 || entry.ne[i] > most) {
      return Corrupt(fmt::format("{}: absurd shape [{}]", place,
                                 fmt::join(entry.ne, ", ")));
    }
    if (i > 0) rows *= entry.ne[i];
  }
  if (entry.ne[0] > kMaxContainerBytes / rows) {
    return Corrupt(
        fmt::format("{}: absurd shape [{}]", place, fmt::join(entry.ne, ", ")));
  }
  SLUICE_TRY(CheckStorage(place, entry.type, entry.layout, entry.ne[0], rows,
                          entry.bytes));
  if (entry.layout != static_cast<std::uint32_t>(MatrixLayout::kRows) &&
      index_.name(entry).starts_with("token_embd.")) {
    return Corrupt(place + ": token embeddings are not row by row");
  }
  const SectionEntry& dense = file_.section(SectionKind::kDense);
  const std::uint64_t begin = number == 0 ? dense.offset
                                          : index_.dense[number - 1].offset +
                                                index_.dense[number - 1].bytes;
  if (entry.offset % kPartAlignment != 0 ||
      !Within(entry.offset, entry.bytes, begin,
              dense.offset + dense.stored_bytes)) {
    return Corrupt(
        fmt::format("{}: {} bytes at {} are not within the section "
                    "dense, after the tensor before and at a "
                    "multiple of {}",
                    place, entry.bytes, entry.offset, kPartAlignment));
  }
  return {};
}

Result<void> IndexParser::CheckRecords() const {
  for (std::size_t i = 0; i < index_.records.size(); ++i) {
    SLUICE_TRY(CheckRecord(i));
  }
  return {};
}

Result<void> IndexParser::CheckRecord(std::size_t number) const {
  const RecordEntry& entry = index_.records[number];
  const SectionEntry& experts = file_.section(SectionKind::kExperts);
  std::uint64_t begin = experts.offset;
  if (number > 0) {
    const RecordEntry& before = index_.records[number - 1];
    begin = AlignUp(before.offset + before.stored_bytes);
  }
  if (entry.offset % kPageBytes != 0 || entry.stored_bytes == 0 ||
      !Within(entry.offset, entry.stored_bytes, begin,
              experts.offset + experts.stored_bytes)) {
    return Corrupt(fmt::format(
        "{}, entry at byte {}: {} bytes at {} are not within the section "
        "experts, after the record before and at a page boundary",
        RecordName(number), RecordPlace(number), entry.stored_bytes,
        entry.offset));
  }
  for (std::size_t i = 0; i < index_.header.parts_per_record; ++i) {
    SLUICE_TRY(CheckPart(number, i));
  }
  const PartEntry& last = index_.record_parts(number).back();
  if (last.offset + last.stored_bytes != entry.stored_bytes) {
    return Corrupt(
        fmt::format("{}: {} bytes long, and its last part ends at "
                    "{}",
                    RecordName(number), entry.stored_bytes,
                    last.offset + last.stored_bytes));
  }
  return CheckShapes(number);
}

Result<void> IndexParser::CheckPart(std::size_t record,
                                    std::size_t part) const {
  const std::span<const PartEntry> parts = index_.record_parts(record);
  const PartEntry& entry = parts[part];
  const std::string place =
      fmt::format("{}, part {}", RecordName(record), part);
  const std::uint64_t begin =
      part == 0 ? 0 : parts[part - 1].offset + parts[part - 1].stored_bytes;
  if (entry.offset % kPartAlignment != 0 || entry.zero != 0 ||
      !Within(entry.offset, entry.stored_bytes, begin,
              index_.records[record].stored_bytes)) {
    return Corrupt(
        fmt::format("{}: {} bytes at {} are not within the record, "
                    "after the part before and at a multiple of {}",
                    place, entry.stored_bytes, entry.offset, kPartAlignment));
  }
  if (part >= kPartNames.size()) {
    if ((entry.flags & kPartOptional) != 0) return {};
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: {} is of kind {} and level {}, which this "
                            "build does not know; use a newer build",
                            OneLine(path_), place, entry.kind, entry.level));
  }
  if (entry.kind != part || entry.level != 0 || entry.flags != 0) {
    return Corrupt(fmt::format("{} is not {}: kind {}, level {}, flags {}",
                               place, kPartNames[part], entry.kind, entry.level,
                               entry.flags));
  }
  const auto codec = Codec{entry.codec};
  const bool stored = codec == Codec::kStored;
  const bool packed = codec == Codec::kZstd && entry.stored_bytes > 0 &&
                      (file_.options & kOptionCompressed) != 0;
  if (entry.rows == 0 || entry.columns == 0 ||
      !(stored ? entry.stored_bytes == entry.raw_bytes : packed)) {
    return Corrupt(
        fmt::format("{}: codec {}, {} rows of {}, {} bytes stored "
                    "of {} do not fit together",
                    place, entry.codec, entry.rows, entry.columns,
                    entry.stored_bytes, entry.raw_bytes));
  }
  return CheckStorage(place, entry.type, entry.layout, entry.columns,
                      entry.rows, entry.raw_bytes);
}

// Gate and up have one shape and down the transposed one, in all layers; a
// layer's experts agree in types and layouts too.
Result<void> IndexParser::CheckShapes(std::size_t record) const {
  const std::span<const PartEntry> parts = index_.record_parts(record);
  const PartEntry& model = index_.parts[0];
  const std::size_t first =
      record / index_.header.experts * index_.header.experts;
  const std::span<const PartEntry> layer = index_.record_parts(first);
  for (std::size_t i = 0; i < kPartNames.size(); ++i) {
    const bool is_down = i == 2;
    const std::uint32_t rows = is_down ? model.columns : model.rows;
    const std::uint32_t columns = is_down ? model.rows : model.columns;
    if (parts[i].rows == rows && parts[i].columns == columns &&
        parts[i].type == layer[i].type && parts[i].layout == layer[i].layout) {
      continue;
    }
    return Corrupt(fmt::format(
        "{}: {} of shape [{}, {}], type {} and layout "
        "{} differs from the others of the {}",
        RecordName(record), kPartNames[i], parts[i].columns, parts[i].rows,
        parts[i].type, parts[i].layout, record == first ? "model" : "layer"));
  }
  return {};
}

Result<void> IndexParser::CheckSums() const {
  for (const auto& [kind, checksum] :
       {std::pair(SectionKind::kDense, DenseChecksum(index_)),
        std::pair(SectionKind::kExperts, ExpertsChecksum(index_))}) {
    if (file_.section(kind).checksum != checksum) {
      return Corrupt(
          fmt::format("the checksums of the section {} are not "
                      "those the header was written with",
                      SectionName(kind)));
    }
  }
  return {};
}

}  // namespace

IndexTables TablesOf(const ContainerHeader& header,
                     const ContainerIndex& index) {
  IndexTables tables;
  tables.dense =
      header.section(SectionKind::kIndex).offset + sizeof(IndexHeader);
  tables.records = tables.dense + index.dense.size() * sizeof(DenseEntry);
  tables.parts = tables.records + index.records.size() * sizeof(RecordEntry);
  return tables;
}

std::uint64_t IndexBytes(const IndexHeader& header) {
  const std::uint64_t records = std::uint64_t{header.layers} * header.experts;
  return sizeof(IndexHeader) +
         std::uint64_t{header.dense_count} * sizeof(DenseEntry) +
         records *
             (sizeof(RecordEntry) +
              std::uint64_t{header.parts_per_record} * sizeof(PartEntry)) +
         header.name_bytes;
}

std::uint64_t ContainerIndex::serialized_bytes() const {
  return IndexBytes(header);
}

std::vector<std::byte> ContainerIndex::Serialize() const {
  std::vector<std::byte> out(static_cast<std::size_t>(serialized_bytes()));
  std::byte* at = Put(out.data(), std::span(&header, 1));
  at = Put(at, std::span(dense));
  at = Put(at, std::span(records));
  at = Put(at, std::span(parts));
  Put(at, std::span(std::as_const(names)));
  return out;
}

Result<ContainerIndex> ParseIndex(std::span<const std::byte> bytes,
                                  const ContainerHeader& header,
                                  const std::string& path) {
  SLUICE_ASSIGN(ContainerIndex index, IndexParser(bytes, header, path).Parse());
  SLUICE_TRY(CheckPlanes(index, path));
  return index;
}

}  // namespace sluice::storage
