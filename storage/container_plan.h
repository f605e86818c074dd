// ContainerPlan: what the container of a GGUF will hold and where, before a
// weight has been read.
//
// Depends on the GGUF and the options alone, so that an interrupted repack
// finds the same plan again.
//
// Thread safety: a value; immutable once made.
#ifndef SLUICE_STORAGE_CONTAINER_PLAN_H_
#define SLUICE_STORAGE_CONTAINER_PLAN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/container_format.h"
#include "storage/container_index.h"
#include "storage/gguf.h"
#include "storage/result.h"
#include "storage/source_identity.h"
#include "storage/tensor_type.h"

namespace sluice::storage {

// Rearranges rows for the layout rows8; storage moves bytes and knows nothing
// of the fields within a block, so whoever owns the kernels brings this.
struct RowInterleaver {
  // Writes `row_count` rows (a multiple of 8) of `columns` weights to `out`, as
  // many bytes as it reads.
  void (*run)(TensorType type, const std::byte* rows, std::size_t row_count,
              std::size_t columns, std::byte* out) = nullptr;
  // The types that it knows; null: none.
  bool (*supports)(TensorType type) = nullptr;
};

// What the records of a container hold.
enum class RecordForm {
  kStored,      // the GGUF's own weights
  kCompressed,  // the same, compressed where that makes them smaller
  kPlanes,      // nested weights that are fitted to the GGUF's
};

// Bytes of the GGUF that become one dense tensor or one part.
struct SourceSlice {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  TensorType type = TensorType::kF32;
  MatrixLayout layout = MatrixLayout::kRows;
  std::uint64_t columns = 0;
  std::size_t row_bytes = 0;
};

struct ContainerPlan {
  // State: being written. The sections dense and experts are sized as if
  // nothing were compressed.
  ContainerHeader header;
  std::vector<std::byte> metadata;   // as stored
  std::vector<std::byte> tokenizer;  // as stored
  // Everything but checksums and, of records and parts, offsets, codecs and
  // stored sizes.
  ContainerIndex index;
  std::vector<SourceSlice> dense;
  std::vector<std::array<SourceSlice, 3>> layers;  // of expert 0
  RecordForm form = RecordForm::kStored;
  std::uint64_t weight_bytes = 0;  // of all units
  std::uint64_t file_bytes = 0;    // of the container if nothing is compressed

  // Units are written in this order: the dense tensors, then the records.
  std::uint64_t units() const {
    return index.dense.size() + index.records.size();
  }
  // Parts of the source; a unit with planes has twice as many in the container.
  std::size_t parts_of(std::uint64_t unit) const {
    return unit < dense.size() ? 1 : kPartNames.size();
  }
  SourceSlice Source(std::uint64_t unit, std::size_t part) const;
};

// At most this many bytes of eight rows are rearranged; wider matrices stay in
// rows, so that repacking takes bounded memory.
inline constexpr std::size_t kMostGroupBytes = 4 << 20;

// Returns: kUnsupported (a model without experts; planes of matrices that are
// not whole superblocks and row groups), kCorrupt (experts whose
// shapes differ), kNoMemory.
Result<ContainerPlan> PlanContainer(const GgufFile& gguf,
                                    const SourceIdentity& source,
                                    const RowInterleaver& interleaver,
                                    RecordForm form);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_CONTAINER_PLAN_H_
