#include "tests/support/container_checksums.h"

#include <cstdint>
#include <cstring>
#include <span>

#include "storage/container_format.h"
#include "storage/xxh3.h"

namespace sluice::test {
namespace {

using storage::ContainerHeader;
using storage::SectionEntry;
using Bytes = std::vector<std::byte>;

template <typename T>
void SetChecksum(T& header) {
  const auto page = std::as_bytes(std::span(&header, 1));
  header.checksum =
      storage::HashXxh3(page.first(offsetof(ContainerHeader, checksum)));
}

// Sections 4 and 5 have the hash of the checksums in their entries.
template <typename Entry>
std::uint64_t HashEntries(std::span<const std::byte> table) {
  std::vector<std::uint64_t> checksums;
  for (std::size_t at = 0; at < table.size(); at += sizeof(Entry)) {
    Entry entry;
    std::memcpy(&entry, table.data() + at, sizeof(entry));
    checksums.push_back(entry.checksum);
  }
  return storage::HashXxh3(std::as_bytes(std::span(checksums)));
}

void FixTables(const Bytes& file, ContainerHeader& header) {
  using storage::SectionKind;
  const SectionEntry& index = header.section(SectionKind::kIndex);
  if (index.stored_bytes < sizeof(storage::IndexHeader)) return;
  const auto bytes = std::span(file).subspan(index.offset, index.stored_bytes);
  storage::IndexHeader counts;
  std::memcpy(&counts, bytes.data(), sizeof(counts));
  const std::uint64_t dense =
      std::uint64_t{counts.dense_count} * sizeof(storage::DenseEntry);
  const std::uint64_t records = std::uint64_t{counts.layers} * counts.experts;
  if (records > bytes.size() || counts.parts_per_record > 64) return;
  const std::uint64_t parts =
      records * counts.parts_per_record * sizeof(storage::PartEntry);
  const std::uint64_t before =
      sizeof(counts) + dense + records * sizeof(storage::RecordEntry);
  if (before + parts > bytes.size()) return;
  header.section(SectionKind::kDense).checksum =
      HashEntries<storage::DenseEntry>(bytes.subspan(sizeof(counts), dense));
  header.section(SectionKind::kExperts).checksum =
      HashEntries<storage::PartEntry>(bytes.subspan(before, parts));
}

}  // namespace

void FixChecksums(std::vector<std::byte>& file) {
  ContainerHeader header;
  if (file.size() < 2 * sizeof(header)) return;
  std::memcpy(&header, file.data(), sizeof(header));
  bool tables = true;
  for (std::size_t i = 0; i < 3; ++i) {
    SectionEntry& entry = header.sections[i];
    if (entry.offset > file.size() ||
        entry.stored_bytes > file.size() - entry.offset) {
      tables = false;
      continue;
    }
    entry.checksum = storage::HashXxh3(
        std::span(file).subspan(entry.offset, entry.stored_bytes));
  }
  if (tables) FixTables(file, header);
  SetChecksum(header);
  std::memcpy(file.data(), &header, sizeof(header));
  ContainerHeader footer = header;
  footer.magic = storage::kContainerEndMagic;
  SetChecksum(footer);
  std::memcpy(file.data() + file.size() - sizeof(footer), &footer,
              sizeof(footer));
}

}  // namespace sluice::test
