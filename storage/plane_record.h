// PlaneRecord: one expert's record of nested weights on its way to a container.
// Pieces of gate, up and down come in as they are read, planes are fitted to
// each at once, and the six parts are written when the last piece is there.
//
// Memory: the planes of one expert, about 4.7 bits a weight.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_PLANE_RECORD_H_
#define SLUICE_STORAGE_PLANE_RECORD_H_

#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "storage/container_plan.h"
#include "storage/container_writer.h"
#include "storage/expert_id.h"
#include "storage/repack_source.h"
#include "storage/result.h"

namespace sluice::storage {

// Rows of one matrix of an expert, and where their planes go.
struct PlaneJob {
  ExpertId id;
  std::size_t part = 0;  // 0 gate, 1 up, 2 down
  TensorType type = TensorType::kF32;
  std::span<const std::byte> rows;
  std::size_t row_count = 0;  // a multiple of 8
  std::size_t columns = 0;    // a multiple of 256
  std::byte* base = nullptr;  // row groups in the layout rows8
  std::byte* residual = nullptr;
};
// Storage moves bytes: whoever owns the arithmetic brings it. Called on the
// thread of the repack.
using PlaneFitter = std::function<void(const PlaneJob&)>;

class PlaneRecord {
 public:
  // Both must outlive the record.
  PlaneRecord(const ContainerPlan& plan, const PlaneFitter& fit)
      : plan_(plan), fit_(fit) {}

  // Takes the next piece of the unit, and after its last one writes the parts.
  // Returns: as ContainerWriter.
  Result<void> Take(const Piece& piece, std::span<const std::byte> bytes,
                    ContainerWriter& writer);

 private:
  Result<void> Write(ContainerWriter& writer) const;

  const ContainerPlan& plan_;
  const PlaneFitter& fit_;
  // Parts in the order of the container.
  std::array<std::vector<std::byte>, 6> parts_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_PLANE_RECORD_H_
