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

// Q8_0, as in a GGUF: an f16 scale and 32 weights.
constexpr std::size_t kBlock = 32;
constexpr std::size_t kBlockBytes = sizeof(std::uint16_t) + kBlock;
constexpr std::size_t kAlignment = 64;  // of a copy: a line of a cache

bool IsPlain(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 ||
         type == TensorType::kBF16;
}

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
  return storage::AlignUp(
      std::size_t{config.experts} * (config.embedding / kBlock) * kBlockBytes,
      kAlignment);
}

MatrixView MakeGuessRouter(const Compute& compute, const MatrixView& router,
                           std::byte* data) {
  if (!IsPlain(router.type) || router.columns % kBlock != 0) return router;
  MatrixView copy = {.type = TensorType::kQ8_0,
                     .rows = router.rows,
                     .columns = router.columns,
                     .row_bytes = router.columns / kBlock * kBlockBytes,
                     .data = data};
  const auto dequantize =
      compute.kernels.dequantize[static_cast<std::size_t>(router.type)];
  compute.pool.For(router.rows, [&](std::size_t row) {
    std::vector<float> x(router.columns);
    dequantize(router.data + row * router.row_bytes, x.size(), x.data());
    for (std::size_t i = 0; i < x.size(); i += kBlock) {
      EncodeBlock(compute.kernels, std::span(x).subspan(i, kBlock),
                  data + row * copy.row_bytes + i / kBlock * kBlockBytes);
    }
  });
  InterleaveInPlace(compute, data, copy);
  return copy;
}

}  // namespace sluice
