#include "storage/container_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/direct_file.h"
#include "storage/header_file.h"
#include "storage/xxh3.h"
#include "storage/zstd_codec.h"

namespace sluice::storage {
namespace {

constexpr std::string_view kCure =
    "the file is damaged: copy it again or repack the model";

tl::unexpected<Error> Corrupt(const std::string& path,
                              const std::string& what) {
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{}: {}; {}", OneLine(path), what, kCure));
}

bool AllZero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(
      bytes, [](std::byte byte) { return byte == std::byte{}; });
}

Result<void> CheckMagic(const ContainerHeader& header,
                        const std::string& path) {
  if (header.magic != kContainerMagic) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{}: is not a .sluice container (wrong first "
                            "bytes); name a file that repack wrote",
                            OneLine(path)));
  }
  if (header.version != kContainerVersion) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: header: version {} at byte 8, this build "
                            "reads {}; use a newer build or repack the model",
                            OneLine(path), header.version, kContainerVersion));
  }
  return {};
}

// The section table: kinds in order, each at the first page boundary after the
// one before, all within `end`.
Result<void> CheckSections(const ContainerHeader& header, std::uint64_t end,
                           const std::string& path) {
  std::uint64_t at = kPageBytes;
  for (std::uint32_t i = 0; i < kSectionCount; ++i) {
    const SectionEntry& entry = header.sections[i];
    const auto kind = SectionKind{i + 1};
    const bool packable = kind <= SectionKind::kTokenizer;
    const bool stored = Codec{entry.codec} == Codec::kStored;
    const bool packed = Codec{entry.codec} == Codec::kZstd && packable &&
                        entry.stored_bytes < entry.raw_bytes;
    const bool sized = stored ? entry.raw_bytes == entry.stored_bytes : packed;
    if (entry.kind != i + 1 || !sized || entry.offset != at ||
        entry.zero != std::array<std::uint64_t, 3>{} || entry.offset > end ||
        entry.stored_bytes > end - entry.offset) {
      return Corrupt(
          path, fmt::format("header: entry of section {} at byte {} "
                            "breaks the rules",
                            SectionName(kind), 64 + i * sizeof(SectionEntry)));
    }
    if (packable && entry.raw_bytes > kGgufMaxHeaderBytes) {
      return Corrupt(path, fmt::format("section {}: {} bytes decompressed "
                                       "(limit {})",
                                       SectionName(kind), entry.raw_bytes,
                                       kGgufMaxHeaderBytes));
    }
    at = AlignUp(entry.offset + entry.stored_bytes);
  }
  if (header.section(SectionKind::kIndex).stored_bytes > kMaxIndexBytes) {
    return Corrupt(path, "header: the index is longer than any");
  }
  if (at == end) return {};
  return Corrupt(path, fmt::format("header: the sections end at {} and the "
                                   "footer is at {}",
                                   at, end));
}

// The stored bytes of a section of the front, checked.
Result<std::span<const std::byte>> SectionBytes(
    SectionKind kind, const ContainerHeader& header,
    std::span<const std::byte> front, const std::string& path) {
  const SectionEntry& entry = header.section(kind);
  const auto bytes =
      front.subspan(static_cast<std::size_t>(entry.offset),
                    static_cast<std::size_t>(entry.stored_bytes));
  if (HashXxh3(bytes) != entry.checksum) {
    return Corrupt(
        path, fmt::format("section {} ({} bytes from byte {}) does "
                          "not have its checksum",
                          SectionName(kind), entry.stored_bytes, entry.offset));
  }
  return bytes;
}

// The GGUF header that a section holds, within `memory` or the front.
Result<std::span<const std::byte>> UnpackSection(
    SectionKind kind, const ContainerHeader& header,
    std::span<const std::byte> front, const std::string& path,
    AlignedBuffer& memory) {
  SLUICE_ASSIGN(const auto bytes, SectionBytes(kind, header, front, path));
  const SectionEntry& entry = header.section(kind);
  if (Codec{entry.codec} == Codec::kStored) return bytes;
  // At most kGgufMaxHeaderBytes, and only pages that are written take memory.
  SLUICE_ASSIGN(memory, AlignedBuffer::Allocate(
                            static_cast<std::size_t>(entry.raw_bytes)));
  SLUICE_ASSIGN(ZstdDecompressor zstd, ZstdDecompressor::Create());
  const auto raw =
      memory.span().first(static_cast<std::size_t>(entry.raw_bytes));
  if (!zstd.Decompress(bytes, raw)) {
    return Corrupt(
        path, fmt::format("section {} at byte {} is not one zstd "
                          "frame of {} bytes",
                          SectionName(kind), entry.offset, entry.raw_bytes));
  }
  return std::span<const std::byte>(raw);
}

std::vector<GgufTensor> DenseTensors(const ContainerIndex& index) {
  std::vector<GgufTensor> tensors;
  tensors.reserve(index.dense.size());
  for (const DenseEntry& entry : index.dense) {
    tensors.push_back({.name = std::string(index.name(entry)),
                       .type = TensorType{entry.type},
                       .ne = entry.ne,
                       .file = 0,
                       .offset = entry.offset,
                       .bytes = entry.bytes,
                       .layout = MatrixLayout{entry.layout},
                       .checksum = entry.checksum});
  }
  return tensors;
}

// The footer is the header with another magic.
Result<void> CheckFooter(ContainerHeader header,
                         std::span<const std::byte> footer,
                         const std::string& path) {
  header.magic = kContainerEndMagic;
  const auto page = std::as_bytes(std::span(&header, 1));
  header.checksum = HashXxh3(page.first(offsetof(ContainerHeader, checksum)));
  const auto [expected, found] = std::ranges::mismatch(page, footer);
  if (expected == page.end()) return {};
  return Corrupt(
      path,
      fmt::format("footer does not agree with the header, "
                  "first at byte {}",
                  header.file_bytes - kPageBytes +
                      static_cast<std::uint64_t>(expected - page.begin())));
}

std::uint64_t FrontBytes(const ContainerHeader& header) {
  const SectionEntry& index = header.section(SectionKind::kIndex);
  return index.offset + index.stored_bytes;
}

}  // namespace

Result<ContainerHeader> ParseContainerHeader(std::span<const std::byte> page,
                                             std::uint64_t file_bytes,
                                             bool complete,
                                             const std::string& path) {
  ContainerHeader header;
  if (page.size() < sizeof(header)) {
    return Corrupt(path, fmt::format("file is truncated: it has {} bytes, less "
                                     "than a header",
                                     file_bytes));
  }
  std::memcpy(&header, page.data(), sizeof(header));
  SLUICE_TRY(CheckMagic(header, path));
  if (HashXxh3(page.first(offsetof(ContainerHeader, checksum))) !=
      header.checksum) {
    return Corrupt(path, "header (bytes 0 to 4095) does not have its checksum");
  }
  if (header.section_count != kSectionCount ||
      (header.options & ~kOptionCompressed) != 0 ||
      !AllZero(std::as_bytes(std::span(header.zeros)))) {
    return Corrupt(path,
                   "header: section count, options or unused bytes break "
                   "the rules");
  }
  if (!complete) return header;
  if (header.state != static_cast<std::uint32_t>(ContainerState::kComplete) ||
      header.units_done != 0) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: is still being written; let repack finish it",
                            OneLine(path)));
  }
  if (header.source_stamp != 0) {
    return Corrupt(path, "header: a complete file has a source stamp");
  }
  if (header.file_bytes != file_bytes || file_bytes > kMaxContainerBytes ||
      file_bytes % kPageBytes != 0 || file_bytes < 2 * kPageBytes) {
    return Corrupt(path, fmt::format("file has {} bytes and the header says "
                                     "{}: it is truncated or was appended to",
                                     file_bytes, header.file_bytes));
  }
  SLUICE_TRY(CheckSections(header, file_bytes - kPageBytes, path));
  return header;
}

Result<ContainerReader> ContainerReader::Build(
    const ContainerHeader& header, std::span<const std::byte> front,
    std::span<const std::byte> footer, const std::string& path) {
  SLUICE_TRY(CheckFooter(header, footer, path));
  std::array<AlignedBuffer, 2> memory;
  SLUICE_ASSIGN(
      const auto metadata,
      UnpackSection(SectionKind::kMetadata, header, front, path, memory[0]));
  SLUICE_ASSIGN(
      const auto tokenizer,
      UnpackSection(SectionKind::kTokenizer, header, front, path, memory[1]));
  SLUICE_ASSIGN(const auto table,
                SectionBytes(SectionKind::kIndex, header, front, path));
  SLUICE_ASSIGN(ContainerIndex index, ParseIndex(table, header, path));
  const std::array headers = {metadata, tokenizer};
  SLUICE_ASSIGN(GgufFile gguf,
                GgufFile::FromContainer(headers, DenseTensors(index),
                                        header.file_bytes, path));
  return ContainerReader(
      path, header, std::make_shared<const ContainerIndex>(std::move(index)),
      std::move(gguf));
}

bool ContainerReader::IsContainer(const std::string& path) {
  auto file = HeaderFile::Open(path);
  if (!file) return false;
  const auto page = file->Read(kPageBytes);
  return page && page->size() >= kContainerMagic.size() &&
         std::memcmp(page->data(), kContainerMagic.data(),
                     kContainerMagic.size()) == 0;
}

Result<ContainerReader> ContainerReader::Open(const std::string& path) {
  SLUICE_ASSIGN(DirectFile file, DirectFile::Open(path));
  SLUICE_ASSIGN(AlignedBuffer page, AlignedBuffer::Allocate(kPageBytes));
  const auto first = std::min<std::uint64_t>(file.size(), kPageBytes);
  SLUICE_TRY(file.Read(0, page.span()));
  SLUICE_ASSIGN(
      const ContainerHeader header,
      ParseContainerHeader(page.span().first(static_cast<std::size_t>(first)),
                           file.size(), /*complete=*/true, path));
  const auto bytes = static_cast<std::size_t>(FrontBytes(header));
  SLUICE_ASSIGN(AlignedBuffer front, AlignedBuffer::Allocate(bytes));
  SLUICE_TRY(file.Read(0, front.span()));
  SLUICE_TRY(file.Read(header.file_bytes - kPageBytes, page.span()));
  return Build(header, front.span().first(bytes), page.span(), path);
}

Result<ContainerReader> ContainerReader::Parse(std::span<const std::byte> file,
                                               const std::string& path) {
  SLUICE_ASSIGN(
      const ContainerHeader header,
      ParseContainerHeader(file.first(std::min(file.size(), kPageBytes)),
                           file.size(), /*complete=*/true, path));
  return Build(header, file.first(static_cast<std::size_t>(FrontBytes(header))),
               file.last(kPageBytes), path);
}

}  // namespace sluice::storage
