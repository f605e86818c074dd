#include "tests/support/container_builder.h"

#include <algorithm>
#include <cstring>

#include "storage/xxh3.h"

namespace sluice::test {
namespace {

using storage::ContainerHeader;
using storage::MatrixLayout;
using storage::SectionEntry;
using storage::TensorType;

void InterleaveBlocks(TensorType type, const std::byte* rows,
                      std::size_t row_count, std::size_t columns,
                      std::byte* out) {
  const std::size_t block = storage::InfoOf(type).block_bytes;
  const std::size_t row_bytes = *storage::RowBytes(type, columns);
  for (std::size_t group = 0; group < row_count; group += 8) {
    for (std::size_t at = 0; at < row_bytes; at += block) {
      for (std::size_t row = group; row < group + 8; ++row) {
        std::memcpy(out, rows + row * row_bytes + at, block);
        out += block;
      }
    }
  }
}

bool Supports(TensorType type) {
  return storage::InfoOf(type).block_weights > 1 && type != TensorType::kQ8_0;
}

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
  const auto bytes =
      std::span(file).subspan(index.offset, index.stored_bytes);
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

storage::RowInterleaver BlockInterleaver() {
  return {.run = InterleaveBlocks, .supports = Supports};
}

Bytes Arranged(std::span<const std::byte> rows, TensorType type,
               std::uint64_t columns, MatrixLayout layout) {
  Bytes out(rows.begin(), rows.end());
  if (layout == MatrixLayout::kRows8) {
    InterleaveBlocks(type, rows.data(),
                     rows.size() / *storage::RowBytes(type, columns), columns,
                     out.data());
  }
  return out;
}

Bytes SmallModel(std::uint32_t layers) {
  GgufBuilder builder;
  builder.String("general.architecture", "small")
      .Uint32("small.block_count", layers)
      .StringArray("tokenizer.ggml.tokens", {"a", "b", "c"})
      .Tensor("output_norm.weight", TensorType::kF32, {64})
      .Tensor("token_embd.weight", TensorType::kQ4_0, {64, 16})
      .Tensor("blk.0.attn_q.weight", TensorType::kQ4_0, {64, 16})
      .Tensor("blk.0.attn_norm.weight", TensorType::kF32, {64})
      .Tensor("output.weight", TensorType::kQ8_0, {64, 24});
  AddExperts(builder, layers, 4, 64, 32,
             {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kQ5_0});
  return builder.File();
}

storage::RepackOptions SmallRepack(const std::string& input,
                                   const std::string& output) {
  storage::RepackOptions options;
  options.input = input;
  options.output = output;
  options.compress = storage::CompressRecords::kNever;
  options.interleaver = BlockInterleaver();
  options.device.kind = storage::DeviceKind::kMemory;
  return options;
}

void FixChecksums(Bytes& file) {
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
