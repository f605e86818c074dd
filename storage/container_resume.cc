// How a ContainerWriter finds out what an earlier one has left.
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "storage/aligned_buffer.h"
#include "storage/container_writer.h"

namespace sluice::storage {
namespace {

template <typename Entry>
bool ReadEntries(int fd, std::uint64_t offset, std::span<Entry> out) {
  return ReadFully(fd, offset, std::as_writable_bytes(out));
}

bool FileHolds(int fd, std::uint64_t bytes) {
  struct stat info = {};
  return fstat(fd, &info) == 0 &&
         static_cast<std::uint64_t>(info.st_size) >= bytes;
}

bool SameDense(const DenseEntry& found, DenseEntry planned) {
  planned.checksum = found.checksum;
  return std::memcmp(&found, &planned, sizeof(found)) == 0;
}

bool SamePart(const PartEntry& found, PartEntry planned, std::uint64_t offset) {
  planned.checksum = found.checksum;
  planned.codec = found.codec;
  planned.stored_bytes = found.stored_bytes;
  planned.offset = offset;
  const bool sized = Codec{found.codec} == Codec::kStored
                         ? found.stored_bytes == found.raw_bytes
                         : Codec{found.codec} == Codec::kZstd &&
                               found.stored_bytes < found.raw_bytes;
  return sized && std::memcmp(&found, &planned, sizeof(found)) == 0;
}

}  // namespace

bool ContainerWriter::Resume() {
  ContainerHeader found;
  if (!ReadEntries(file_.get(), 0, std::span(&found, 1))) return false;
  const auto page = std::as_bytes(std::span(&found, 1));
  if (HashXxh3(page.first(offsetof(ContainerHeader, checksum))) !=
      found.checksum) {
    return false;
  }
  const bool finished =
      found.state == static_cast<std::uint32_t>(ContainerState::kComplete);
  // A finished header says nothing of what the planes were fitted by.
  if (finished && plan_.form == RecordForm::kPlanes) return false;
  const std::uint64_t units = finished ? plan_.units() : found.units_done;
  // What only a finished header has, and what changes as units are written.
  ContainerHeader expected = header_;
  expected.state = found.state;
  expected.units_done = found.units_done;
  expected.checksum = found.checksum;
  if (finished) {
    expected.source_stamp = 0;
    expected.file_bytes = found.file_bytes;
    for (const auto kind :
         {SectionKind::kIndex, SectionKind::kDense, SectionKind::kExperts}) {
      expected.section(kind).checksum = found.section(kind).checksum;
      expected.section(kind).stored_bytes = found.section(kind).stored_bytes;
      expected.section(kind).raw_bytes = found.section(kind).raw_bytes;
    }
  }
  if (std::memcmp(&found, &expected, sizeof(found)) != 0) return false;
  return units <= plan_.units() && TakeEntries(units);
}

bool ContainerWriter::TakeEntries(std::uint64_t units) {
  const IndexTables tables = TablesOf(header_, index_);
  ContainerIndex taken = index_;
  const std::uint64_t dense =
      std::min<std::uint64_t>(units, taken.dense.size());
  const std::uint64_t records = units - dense;
  const std::uint64_t parts = records * index_.header.parts_per_record;
  const int fd = file_.get();
  if (!ReadEntries(fd, tables.dense, std::span(taken.dense).first(dense)) ||
      !ReadEntries(fd, tables.records,
                   std::span(taken.records).first(records)) ||
      !ReadEntries(fd, tables.parts, std::span(taken.parts).first(parts))) {
    return false;
  }
  for (std::uint64_t i = 0; i < dense; ++i) {
    if (!SameDense(taken.dense[i], index_.dense[i])) return false;
  }
  std::uint64_t at = header_.section(SectionKind::kExperts).offset;
  for (std::uint64_t i = 0; i < records; ++i) {
    std::uint64_t end = 0;
    for (std::size_t j = 0; j < index_.header.parts_per_record; ++j) {
      const std::size_t k = i * index_.header.parts_per_record + j;
      end = AlignUp(end, PartAlignment(index_.parts[k]));
      if (!SamePart(taken.parts[k], index_.parts[k], end)) return false;
      end += taken.parts[k].stored_bytes;
    }
    const RecordEntry& record = taken.records[i];
    if (record.offset != at || record.stored_bytes != end) return false;
    at = AlignUp(at + end);
  }
  std::swap(index_, taken);
  unit_ = units;
  if (FileHolds(fd, EndOfUnits())) return true;
  // Cut short: what the entries say is no longer all there.
  std::swap(index_, taken);
  unit_ = 0;
  return false;
}

}  // namespace sluice::storage
