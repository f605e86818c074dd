// ExpertStore: turns an expert id into the reads that bring it and the views
// of its weights once they have landed.
//
// From a GGUF an expert is three slices (gate, up, down) of three tensors, each
// read as the aligned superset of its bytes straight into its region of a slot:
// three reads, no bounce copy. From a container it is one record and one read.
// A slot is large enough for any expert of the model, so all slots are equal.
//
// A record with compressed parts is read into the end of its slot and
// decompressed towards the start, part by part in place: the slot is so much
// larger than the weights (about 130 KiB) that no part is overwritten before it
// has been used.
//
// Thread safety: const methods may be called by any number of threads, each
// slot by one at a time.
#ifndef SLUICE_STORAGE_EXPERT_STORE_H_
#define SLUICE_STORAGE_EXPERT_STORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "storage/expert_id.h"
#include "storage/gguf.h"
#include "storage/read_device.h"
#include "storage/result.h"
#include "storage/tensor_type.h"

namespace sluice::storage {

class ContainerReader;
class ExpertSource;

// A matrix of `rows` rows of `columns` weights. In the layout kRows a row is
// `row_bytes` consecutive bytes, as in a GGUF. In kRows8 the rows 8g to 8g+7
// are 8 * row_bytes consecutive bytes, in which their blocks are interleaved:
// no single row can be pointed at, and row_bytes is only its share.
struct MatrixView {
  TensorType type = TensorType::kF32;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::size_t row_bytes = 0;
  const std::byte* data = nullptr;
  MatrixLayout layout = MatrixLayout::kRows;
  // Of nested weights with both planes (type kPlane2): the residual plane, in
  // the same layout. Without it, the base plane is all there is.
  const std::byte* residual = nullptr;
  std::size_t residual_row_bytes = 0;

  bool has_residual() const { return residual_row_bytes > 0; }
  std::size_t bytes() const { return (row_bytes + residual_row_bytes) * rows; }
};

struct ExpertView {
  MatrixView gate;  // [ff, embd]
  MatrixView up;    // [ff, embd]
  MatrixView down;  // [embd, ff]
};

// The reads of one expert; at most one per matrix.
struct ExpertReads {
  std::array<ReadRequest, 3> requests;
  std::size_t count = 0;

  std::span<const ReadRequest> span() const { return {requests.data(), count}; }
};

// When the checksums of a record's parts are checked.
enum class VerifyReads {
  kFirst,   // the first time that each record is read
  kAlways,  // each time
  kNever,
};

// How much of records of nested weights is read; others are read whole.
enum class PlaneLevel {
  kFull,  // both planes
  kBase,  // the base plane alone
};

// Which planes of an expert a read brings, or a slot holds. Where records have
// no planes, or the store brings the base alone, there is kAll alone.
enum class PlaneSet : std::uint8_t {
  kAll,       // what the store brings of the expert
  kBase,      // of both planes, the base
  kResidual,  // and what it lacks: an upgrade of a slot that holds it
};

class ExpertStore {
 public:
  // Finds `blk.L.ffn_{gate,up,down}_exps.weight` for L in [0, layers) and
  // checks that each is [experts, ...] with the same shapes in every layer.
  // Returns: kCorrupt (missing tensor, wrong shape), naming the tensor.
  static Result<ExpertStore> FromGguf(const GgufFile& gguf,
                                      std::uint32_t layers,
                                      std::uint32_t experts);
  // All records of a container, which need not outlive the store. Reads are of
  // file 0: the container alone. `low`: [layers, experts] those of which the
  // base plane alone is there, whatever the level; empty: none.
  // REQUIRES: `low` is empty, or of the container's shape and it has planes.
  // Returns: kNoMemory.
  static Result<ExpertStore> FromContainer(
      const ContainerReader& container,
      VerifyReads verify = VerifyReads::kFirst,
      PlaneLevel level = PlaneLevel::kFull, std::vector<bool> low = {});

  ExpertStore(ExpertStore&&) noexcept;
  ExpertStore& operator=(ExpertStore&&) noexcept;
  ~ExpertStore();

  // Whether planes can be read one without the other, of any expert or of `id`.
  bool has_planes() const;
  bool has_planes(ExpertId id) const;

  std::uint32_t layers() const;
  std::uint32_t experts() const;
  // Multiple of kIoAlignment; the most that one expert's reads need.
  std::size_t slot_bytes() const;
  // Exact bytes of one expert's weights in `layer`, the largest.
  std::size_t expert_bytes(std::uint16_t layer) const;
  // Bytes of all experts of the model.
  std::uint64_t total_bytes() const;
  // Bytes that reading those planes of every expert once asks of the files;
  // less than total_bytes() where records are compressed.
  // REQUIRES: has_planes() unless all are asked for.
  std::uint64_t read_bytes(PlaneSet planes = PlaneSet::kAll) const;

  // The reads that fill `slot` (slot_bytes() bytes, aligned) with `id`, all
  // with the same tag. REQUIRES: id within layers() and experts();
  // has_planes(id) unless all are asked for.
  ExpertReads Reads(ExpertId id, std::byte* slot, ReadClass read_class,
                    std::uint64_t tag, PlaneSet planes = PlaneSet::kAll) const;
  // Call once when all reads of `id` into `slot` have completed, before View:
  // checks the checksums that are due and decompresses in place. `planes` as
  // they were read. After an error the slot holds nothing of use.
  // Returns: kCorrupt, naming the file, the layer, the expert, the part and its
  // place; kNoMemory.
  Result<void> Finish(ExpertId id, std::byte* slot,
                      PlaneSet planes = PlaneSet::kAll) const;
  // The weights of `id` within a slot that Finish has accepted: kAll, also
  // after an upgrade, or kBase.
  ExpertView View(ExpertId id, const std::byte* slot,
                  PlaneSet planes = PlaneSet::kAll) const;
  // The shapes, types and layouts of a layer's largest expert; no data.
  ExpertView Shape(std::uint16_t layer) const;

 private:
  explicit ExpertStore(std::unique_ptr<const ExpertSource> source);

  std::unique_ptr<const ExpertSource> source_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_EXPERT_STORE_H_
