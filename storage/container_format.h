// The structures of a `.sluice` file as they lie on flash; storage/FORMAT.md
// is the specification and names every field.
//
// Plain data, copied in and out with memcpy; no function here checks anything.
// All numbers are little-endian, which is the only byte order of the machines
// that this project runs on.
//
// Thread safety: values.
#ifndef SLUICE_STORAGE_CONTAINER_FORMAT_H_
#define SLUICE_STORAGE_CONTAINER_FORMAT_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace sluice::storage {

static_assert(std::endian::native == std::endian::little,
              "structures are copied from the file as they are");

inline constexpr std::array<unsigned char, 8> kContainerMagic = {
    0x89, 'S', 'L', 'U', 'I', 'C', 'E', '\n'};
inline constexpr std::array<unsigned char, 8> kContainerEndMagic = {
    0x89, 'E', 'C', 'I', 'U', 'L', 'S', '\n'};
inline constexpr std::uint32_t kContainerVersion = 1;
inline constexpr std::size_t kPageBytes = 4096;
// Alignment of dense tensors in the file and of parts in a record.
inline constexpr std::size_t kPartAlignment = 64;
// Rows that the layout rows8 stores together.
inline constexpr std::uint32_t kRowGroup = 8;

enum class ContainerState : std::uint32_t { kComplete = 0, kBeingWritten = 1 };
enum class SectionKind : std::uint32_t {
  kMetadata = 1,
  kTokenizer = 2,
  kIndex = 3,
  kDense = 4,
  kExperts = 5,
};
enum class Codec : std::uint32_t { kStored = 0, kZstd = 1 };
enum class PartKind : std::uint16_t { kGate = 0, kUp = 1, kDown = 2 };

inline constexpr std::uint32_t kSectionCount = 5;
inline constexpr std::uint32_t kOptionCompressed = 1;  // ContainerHeader
inline constexpr std::uint16_t kPartOptional = 1;      // PartEntry::flags

constexpr std::string_view SectionName(SectionKind kind) {
  switch (kind) {
    case SectionKind::kMetadata:
      return "metadata";
    case SectionKind::kTokenizer:
      return "tokenizer";
    case SectionKind::kIndex:
      return "index";
    case SectionKind::kDense:
      return "dense";
    case SectionKind::kExperts:
      return "experts";
  }
  return "unknown";
}

// Limits of the format.
inline constexpr std::uint32_t kMaxContainerLayers = 65535;
inline constexpr std::uint32_t kMaxContainerExperts = 65535;
inline constexpr std::uint32_t kMaxContainerParts = 64;
inline constexpr std::uint32_t kMaxContainerDense = 1 << 20;
inline constexpr std::uint32_t kMaxContainerName = 256;
inline constexpr std::uint64_t kMaxContainerBytes = std::uint64_t{1} << 56;
// Of the index as stored; 6144 experts take 1.3 MB.
inline constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{1} << 30;

struct SectionEntry {
  std::uint32_t kind = 0;
  std::uint32_t codec = 0;
  std::uint64_t offset = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t checksum = 0;
  std::array<std::uint64_t, 3> zero = {};
};
static_assert(sizeof(SectionEntry) == 64);
static_assert(offsetof(SectionEntry, checksum) == 32);

struct ContainerHeader {
  std::array<unsigned char, 8> magic = {};
  std::uint32_t version = 0;
  std::uint32_t state = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t source_bytes = 0;
  std::uint64_t source_hash = 0;
  std::uint32_t section_count = 0;
  std::uint32_t options = 0;
  std::uint64_t units_done = 0;
  std::uint64_t source_stamp = 0;
  std::array<SectionEntry, kSectionCount> sections = {};
  std::array<std::uint64_t, 463> zeros = {};
  std::uint64_t checksum = 0;  // of everything before it

  const SectionEntry& section(SectionKind kind) const {
    return sections[static_cast<std::size_t>(kind) - 1];
  }
  SectionEntry& section(SectionKind kind) {
    return sections[static_cast<std::size_t>(kind) - 1];
  }
};
static_assert(sizeof(ContainerHeader) == kPageBytes);
static_assert(offsetof(ContainerHeader, file_bytes) == 16);
static_assert(offsetof(ContainerHeader, section_count) == 40);
static_assert(offsetof(ContainerHeader, units_done) == 48);
static_assert(offsetof(ContainerHeader, sections) == 64);
static_assert(offsetof(ContainerHeader, zeros) == 384);
static_assert(offsetof(ContainerHeader, checksum) == 4088);

struct IndexHeader {
  std::uint32_t dense_count = 0;
  std::uint32_t layers = 0;
  std::uint32_t experts = 0;
  std::uint32_t parts_per_record = 0;
  std::uint64_t name_bytes = 0;
  std::array<std::uint64_t, 5> zero = {};
};
static_assert(sizeof(IndexHeader) == 64);
static_assert(offsetof(IndexHeader, name_bytes) == 16);

struct DenseEntry {
  std::uint32_t name_offset = 0;
  std::uint32_t name_length = 0;
  std::uint32_t type = 0;
  std::uint32_t layout = 0;
  std::array<std::uint64_t, 4> ne = {};
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  std::array<std::uint64_t, 3> zero = {};
};
static_assert(sizeof(DenseEntry) == 96);
static_assert(offsetof(DenseEntry, offset) == 48);
static_assert(offsetof(DenseEntry, checksum) == 64);

struct RecordEntry {
  std::uint64_t offset = 0;
  std::uint64_t stored_bytes = 0;
};
static_assert(sizeof(RecordEntry) == 16);

struct PartEntry {
  std::uint16_t kind = 0;
  std::uint16_t level = 0;
  std::uint16_t flags = 0;
  std::uint16_t codec = 0;
  std::uint32_t type = 0;
  std::uint32_t layout = 0;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint64_t offset = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t checksum = 0;
  std::uint64_t zero = 0;
};
static_assert(sizeof(PartEntry) == 64);
static_assert(offsetof(PartEntry, rows) == 16);
static_assert(offsetof(PartEntry, offset) == 24);
static_assert(offsetof(PartEntry, checksum) == 48);

// Where a part may begin: the first one of a residual plane on a page, so that
// the plane can be read without what is before it.
constexpr std::size_t PartAlignment(const PartEntry& part) {
  const bool first = PartKind{part.kind} == PartKind::kGate;
  return first && part.level > 0 ? kPageBytes : kPartAlignment;
}

static_assert(std::is_trivially_copyable_v<ContainerHeader> &&
              std::is_trivially_copyable_v<DenseEntry> &&
              std::is_trivially_copyable_v<PartEntry>);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_CONTAINER_FORMAT_H_
