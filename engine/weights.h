// Weights: the dense tensors, which stay in memory: read once into anonymous
// memory that the kernel cannot reclaim, and views of them by role.
//
// Loading is one sequential pass over the files: direct reads, many in flight,
// each tensor's aligned superset straight into its final place.
//
// Thread safety: immutable after Load.
#ifndef SLUICE_ENGINE_WEIGHTS_H_
#define SLUICE_ENGINE_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/model_config.h"
#include "engine/products.h"
#include "storage/aligned_buffer.h"
#include "storage/expert_store.h"
#include "storage/gguf.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice {

struct LayerWeights {
  std::span<const float> attention_norm;  // [embedding]
  std::span<const float> q_norm;          // [head_dim]; none without head norms
  std::span<const float> k_norm;          // [head_dim]; none without head norms
  storage::MatrixView q;                  // [heads * head_dim, embedding]
  storage::MatrixView k;                  // [kv_heads * head_dim, embedding]
  storage::MatrixView v;                  // [kv_heads * head_dim, embedding]
  storage::MatrixView output;             // [embedding, heads * head_dim]
  std::span<const float> ffn_norm;        // [embedding]
  storage::MatrixView router;             // [experts, embedding]
  storage::MatrixView guess_router;       // the same, or close to it
};

class Weights {
 public:
  // Checks that every dense tensor is there with the right shape and type, and
  // gives the bytes that Load will allocate. Reads nothing.
  // Returns: kCorrupt (missing tensor, wrong shape), kUnsupported (a norm that
  // is not F32), naming the file and the tensor.
  static Result<std::size_t> Measure(const storage::GgufFile& gguf,
                                     const ModelConfig& config);

  // Reads them, and checks the checksums of those that have one.
  // `progress(bytes done, bytes in all)` may be empty.
  // Returns: as Measure; kNoMemory, kIo.
  static Result<Weights> Load(
      const storage::GgufFile& gguf, const ModelConfig& config,
      storage::ReadDevice& device,
      const std::function<void(std::uint64_t, std::uint64_t)>& progress);

  // Interleaves the matrices that are multiplied with and not read by row:
  // once, after Load.
  void Interleave(const Compute& compute);

  // What AddGuessRouters allocates.
  static std::size_t GuessRoutersBytes(const ModelConfig& config);
  // Makes the guess routers copies of fewer bits: once, after Interleave; until
  // then they are the routers. Returns: kNoMemory.
  Result<void> AddGuessRouters(const Compute& compute,
                               const ModelConfig& config);

  const storage::MatrixView& embedding() const { return embedding_; }
  // The embedding again where the model ties the two.
  const storage::MatrixView& output() const { return output_; }
  std::span<const float> output_norm() const { return output_norm_; }
  std::span<const LayerWeights> layers() const { return layers_; }
  // All of them, with what lies between.
  std::span<const std::byte> memory() const { return buffer_.span(); }

 private:
  friend class WeightBinder;
  Weights() = default;

  storage::AlignedBuffer buffer_;
  storage::AlignedBuffer guess_routers_;
  storage::MatrixView embedding_;  // [vocabulary, embedding]
  storage::MatrixView output_;     // [vocabulary, embedding]
  std::span<const float> output_norm_;
  std::vector<LayerWeights> layers_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_WEIGHTS_H_
