#include "engine/guess_routers.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "engine/interleave.h"
#include "storage/aligned_buffer.h"
#include "storage/tensor_type.h"

namespace sluice {
namespace {

using storage::MatrixView;
using storage::TensorType;

// A block of Q8_0, as in a GGUF: an f16 scale and its weights.
constexpr storage::TensorTypeInfo kCopy = storage::InfoOf(TensorType::kQ8_0);
constexpr std::size_t kAlignment = 64;  // of a copy: a line of a cache

// A model is not trusted to have numbers only.
void EncodeBlock(const kernels::KernelTable& kernels, std::span<float> x,
                 std::byte* out) {
  float most = 0;
  for (float& v : x) {
    if (!std::isfinite(v)) v = 0;
    most = std::max(most, std::abs(v));
  }
  const float scale = most / 127;
  const float inverse = scale > 0 ? 1 / scale : 0;
  std::uint16_t half = 0;
  kernels.to_f16(&scale, 1, &half);
  std::memcpy(out, &half, sizeof half);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float rounded =
        std::clamp(std::nearbyint(x[i] * inverse), -127.0F, 127.0F);
    const auto weight = static_cast<std::int8_t>(rounded);
    std::memcpy(out + sizeof half + i, &weight, 1);
  }
}

}  // namespace

std::size_t GuessRouterBytes(const ModelConfig& config) {
  const std::size_t blocks = config.embedding / kCopy.block_weights;
  return storage::AlignUp(config.experts * blocks * kCopy.block_bytes,
                          kAlignment);
}

MatrixView MakeGuessRouter(const Compute& compute, const MatrixView& router,
                           std::byte* data) {
  const auto row_bytes = storage::RowBytes(kCopy.type, router.columns);
  if (FormatFor(router) != kernels::ActivationFormat::kF32 || !row_bytes) {
    return router;
  }
  MatrixView copy = {.type = kCopy.type,
                     .rows = router.rows,
                     .columns = router.columns,
                     .row_bytes = *row_bytes,
                     .data = data};
  const auto dequantize =
      compute.kernels.dequantize[static_cast<std::size_t>(router.type)];
  compute.pool.For(router.rows, [&](std::size_t row) {
    std::vector<float> x(router.columns);
    dequantize(router.data + row * router.row_bytes, x.size(), x.data());
    std::byte* out = data + row * copy.row_bytes;
    for (std::size_t i = 0; i < x.size(); i += kCopy.block_weights) {
      EncodeBlock(compute.kernels, std::span(x).subspan(i, kCopy.block_weights),
                  out);
      out += kCopy.block_bytes;
    }
  });
  InterleaveInPlace(compute, data, copy);
  return copy;
}

}  // namespace sluice
