// The parts of a record that holds nested weights (storage/FORMAT.md, section
// 10): gate, up and down of the base plane, then of the residual plane.
//
// Thread safety: pure functions.
#ifndef SLUICE_STORAGE_PLANE_PARTS_H_
#define SLUICE_STORAGE_PLANE_PARTS_H_

#include <cstddef>
#include <span>
#include <string>

#include "storage/container_format.h"
#include "storage/container_index.h"
#include "storage/result.h"

namespace sluice::storage {

// Parts of a record of planes.
inline constexpr std::size_t kPlaneParts = 6;

// Whether a record has nested weights; `parts` as record_parts() gives them.
bool HasPlanes(std::span<const PartEntry> parts);

// "gate", "gate of the residual plane", "part 7": `number` is its place in the
// record.
std::string PartName(const PartEntry& part, std::size_t number);

// Checks that each record has either the six parts of both planes, with what
// section 10 asks of them, or no part of a plane; and that no dense tensor is
// of a plane's type.
// Returns: kCorrupt, naming the record.
Result<void> CheckPlanes(const ContainerIndex& index, const std::string& path);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_PLANE_PARTS_H_
