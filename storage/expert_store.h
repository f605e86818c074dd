// ExpertStore: turns an expert id into the reads that bring it and the views
// of its weights once they have landed.
//
// From a GGUF an expert is three slices (gate, up, down) of three tensors, each
// read as the aligned superset of its bytes straight into its region of a slot:
// three reads, no bounce copy. A slot is large enough for any expert of the
// model, so all slots are equal.
//
// Thread safety: immutable after construction.
#ifndef SLUICE_STORAGE_EXPERT_STORE_H_
#define SLUICE_STORAGE_EXPERT_STORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/expert_id.h"
#include "storage/gguf.h"
#include "storage/read_device.h"
#include "storage/result.h"
#include "storage/tensor_type.h"

namespace sluice::storage {

// A matrix of `rows` rows of `columns` weights, in GGUF row order.
struct MatrixView {
  TensorType type = TensorType::kF32;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::size_t row_bytes = 0;
  const std::byte* data = nullptr;

  std::size_t bytes() const { return row_bytes * rows; }
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

class ExpertStore {
 public:
  // Finds `blk.L.ffn_{gate,up,down}_exps.weight` for L in [0, layers) and
  // checks that each is [experts, ...] with the same shapes in every layer.
  // Returns: kCorrupt (missing tensor, wrong shape), naming the tensor.
  static Result<ExpertStore> FromGguf(const GgufFile& gguf,
                                      std::uint32_t layers,
                                      std::uint32_t experts);

  std::uint32_t layers() const { return layers_; }
  std::uint32_t experts() const { return experts_; }
  // Multiple of kIoAlignment; the most that one expert's reads need.
  std::size_t slot_bytes() const { return slot_bytes_; }
  // Exact bytes of one expert's weights in `layer`.
  std::size_t expert_bytes(std::uint16_t layer) const;
  // Bytes of all experts of the model.
  std::uint64_t total_bytes() const;

  // The reads that fill `slot` (slot_bytes() bytes, aligned) with `id`, all
  // with the same tag. REQUIRES: id within layers() and experts().
  ExpertReads Reads(ExpertId id, std::byte* slot, ReadClass read_class,
                    std::uint64_t tag) const;
  // The weights of `id` within a slot whose reads have completed.
  ExpertView View(ExpertId id, const std::byte* slot) const;
  // The shapes and types of a layer's experts; no data.
  ExpertView Shape(std::uint16_t layer) const;

 private:
  // One tensor holding a matrix of every expert of a layer.
  struct Slices {
    MatrixView shape;  // data is null
    std::uint32_t file = 0;
    std::uint64_t offset = 0;  // of expert 0
    std::size_t region = 0;    // where its reads land in a slot
  };
  struct Layer {
    std::array<Slices, 3> parts;  // gate, up, down
  };

  ExpertStore() = default;

  std::uint32_t layers_ = 0;
  std::uint32_t experts_ = 0;
  std::size_t slot_bytes_ = 0;
  std::vector<Layer> layout_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_EXPERT_STORE_H_
