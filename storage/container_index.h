// ContainerIndex: where every dense tensor, expert record and part of a
// container is, checked against every rule of storage/FORMAT.md.
//
// What is parsed here is untrusted: after ParseIndex succeeded, all offsets
// and sizes lie within their sections, nothing overlaps, every shape is whole
// blocks of a known type and every size is that of its shape.
//
// Thread safety: immutable once parsed.
#ifndef SLUICE_STORAGE_CONTAINER_INDEX_H_
#define SLUICE_STORAGE_CONTAINER_INDEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/container_format.h"
#include "storage/expert_id.h"
#include "storage/result.h"
#include "storage/tensor_type.h"

namespace sluice::storage {

struct ContainerIndex {
  IndexHeader header;
  std::vector<DenseEntry> dense;     // in file order
  std::vector<RecordEntry> records;  // layer by layer
  std::vector<PartEntry> parts;      // in the order of the records
  std::string names;

  std::string_view name(const DenseEntry& entry) const {
    return std::string_view(names).substr(entry.name_offset, entry.name_length);
  }
  std::size_t record_number(ExpertId id) const {
    return std::size_t{id.layer} * header.experts + id.expert;
  }
  const RecordEntry& record(ExpertId id) const {
    return records[record_number(id)];
  }
  // Gate, up and down first.
  std::span<const PartEntry> record_parts(std::size_t record) const {
    return std::span(parts).subspan(record * header.parts_per_record,
                                    header.parts_per_record);
  }
  // Every field as in the file.
  std::vector<std::byte> Serialize() const;
  std::uint64_t serialized_bytes() const;
};

inline constexpr std::array<std::string_view, 3> kPartNames = {"gate", "up",
                                                               "down"};

// Where the tables of an index begin in the file.
struct IndexTables {
  std::uint64_t dense = 0;
  std::uint64_t records = 0;
  std::uint64_t parts = 0;
};
IndexTables TablesOf(const ContainerHeader& header,
                     const ContainerIndex& index);

// Bytes of the tables that `header` announces; all counts within the limits.
std::uint64_t IndexBytes(const IndexHeader& header);

// The checksums of the dense tensors, and of the parts, hashed: what the
// section table has for the sections 4 and 5.
std::uint64_t DenseChecksum(const ContainerIndex& index);
std::uint64_t ExpertsChecksum(const ContainerIndex& index);

// Parses `bytes`, the whole index section of the container at `path` with the
// (checked) header `header`.
// Returns: kCorrupt, kUnsupported (a type that this build does not know).
Result<ContainerIndex> ParseIndex(std::span<const std::byte> bytes,
                                  const ContainerHeader& header,
                                  const std::string& path);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_CONTAINER_INDEX_H_
