// Products: matrix products shared out over threads, and the quantised
// activations they take.
//
// Each output row is computed by one thread in one piece, so results do not
// depend on the number of threads.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_PRODUCTS_H_
#define SLUICE_ENGINE_PRODUCTS_H_

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "engine/phase_clock.h"
#include "engine/thread_pool.h"
#include "kernels/kernel_table.h"
#include "storage/expert_store.h"

namespace sluice {

// What the forward pass computes with.
struct Compute {
  const kernels::KernelTable& kernels;
  ThreadPool& pool;
  PhaseClock& clock;
};

inline kernels::WeightType KernelType(storage::TensorType type) {
  return static_cast<kernels::WeightType>(type);
}
inline kernels::ActivationFormat FormatFor(const storage::MatrixView& weights) {
  return kernels::FormatFor(KernelType(weights.type));
}

// Tokens' activations in one format, `stride` bytes apart. With two terms, each
// token's activations are a sum of two records: those of all tokens are
// followed by those of what the first lost.
struct ActivationView {
  const std::byte* data = nullptr;
  std::size_t stride = 0;
  std::size_t terms = 1;
};

// How closely a quantised input follows the values. kFine adds a second 8-bit
// term, about 15 bits in all: twice the arithmetic for the same bytes of
// weights. The attention's output and the logits have two terms, Q, K, V and
// experts one (bench/LEARNED.md, 3 and 53).
enum class Precision { kPlain, kFine };

// y[t * y_stride + r] = weights row r . x token t.
struct Product {
  const storage::MatrixView* weights = nullptr;
  ActivationView x;
  std::size_t tokens = 1;
  float* y = nullptr;        // room for x.terms * tokens outputs
  std::size_t y_stride = 0;  // floats
};

// Runs all products in one parallel region.
void RunProducts(const Compute& compute, std::span<const Product> products);

// The activations of one layer input, quantised once per format that its
// readers want. Owns no memory: the caller's buffers are Bytes() large.
class QuantizedInput {
 public:
  QuantizedInput() = default;
  // Bytes of `tokens` records of `columns` values in every format that
  // `columns` allows.
  static std::size_t RecordBytes(std::size_t tokens, std::size_t columns);
  // Bytes of buffer for `tokens` inputs of at most `columns` values: two terms.
  static std::size_t Bytes(std::size_t tokens, std::size_t columns) {
    return 2 * RecordBytes(tokens, columns);
  }
  explicit QuantizedInput(std::span<std::byte> buffer) : buffer_(buffer) {}

  // A new input x [tokens, columns]; must stay unchanged while it is used.
  void Set(const float* x, std::size_t tokens, std::size_t columns);
  // The input in the format that `weights` are multiplied with. The precision
  // must be the same for all calls between two of Set.
  ActivationView For(const Compute& compute, const storage::MatrixView& weights,
                     Precision precision);

 private:
  std::span<std::byte> buffer_;
  const float* x_ = nullptr;
  std::size_t tokens_ = 0;
  std::size_t columns_ = 0;
  std::size_t used_ = 0;  // bytes of buffer_
  std::array<ActivationView, kernels::kActivationFormats> views_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRODUCTS_H_
