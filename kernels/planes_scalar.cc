// Products of both planes of nested weights in plain C++: the group blocks are
// put back into the blocks of eight rows, which are multiplied one by one.
#include <cstdint>

#include "kernels/activations.h"
#include "kernels/planes.h"
#include "kernels/quant_codecs_scalar.h"
#include "kernels/rows8.h"
#include "kernels/rows8_moves.h"
#include "kernels/rows8_parts.h"

namespace sluice::kernels {
namespace {

template <typename T>
const T* Part(const std::byte* record, std::size_t offset) {
  return reinterpret_cast<const T*>(record + offset);
}

// acc and superblock b of one row with token `record`.
float Add(const MatmulArgs& args, const Unpacked& row, float d,
          const std::byte* record, std::size_t b, float acc) {
  const Q8x256Layout layout(args.columns);
  const auto* q = Part<std::int8_t>(record, b * kSuperBlock);
  std::int32_t total = 0;
  for (std::size_t s = 0; s < 16; ++s) {
    std::int32_t dot = 0;
    for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) dot += row.w[i] * q[i];
    total += row.scales[s] * dot;
  }
  const float scale = Part<float>(record, layout.scales)[b];
  return __builtin_fmaf(d * scale, static_cast<float>(total), acc);
}

// Superblock b of the eight rows from `row` on.
void AddGroup(const MatmulArgs& args, std::size_t row, std::size_t b) {
  const std::size_t blocks = args.columns / kSuperBlock;
  const std::size_t group = row / kRows8 * blocks + b;
  BlockPlane2 bases[kRows8];
  BlockResidual2 residuals[kRows8];
  DeinterleaveBlocks(*FindRows8(WeightType::kPlane2),
                     args.weights + group * sizeof(bases), sizeof(BlockPlane2),
                     reinterpret_cast<std::byte*>(bases));
  DeinterleaveBlocks(
      Residual2Rows8(), args.residual + group * sizeof(residuals),
      sizeof(BlockResidual2), reinterpret_cast<std::byte*>(residuals));
  for (std::size_t r = 0; r < kRows8; ++r) {
    Unpacked unpacked;
    UnpackPlanes(bases[r], residuals[r], unpacked);
    const float d = HalfToFloat(residuals[r].d);
    for (std::size_t t = 0; t < args.tokens; ++t) {
      float& y = args.y[t * args.y_stride + row + r];
      y = Add(args, unpacked, d, args.activations + t * args.activation_stride,
              b, b == 0 ? 0.0F : y);
    }
  }
}

void Matmul(const MatmulArgs& args) {
  for (std::size_t row = args.row_begin; row < args.row_end; row += kRows8) {
    for (std::size_t b = 0; b < args.columns / kSuperBlock; ++b) {
      AddGroup(args, row, b);
    }
  }
}

}  // namespace

void AddPlanesScalar(KernelTable& table) { table.matmul_planes = Matmul; }

void DequantizePlanes(const std::byte* base, const std::byte* residual,
                      std::size_t n, float* out) {
  const auto* bases = reinterpret_cast<const BlockPlane2*>(base);
  const auto* residuals = reinterpret_cast<const BlockResidual2*>(residual);
  for (std::size_t b = 0; b < n / kSuperBlock; ++b) {
    Unpacked unpacked;
    UnpackPlanes(bases[b], residuals[b], unpacked);
    const float d = HalfToFloat(residuals[b].d);
    for (std::size_t i = 0; i < kSuperBlock; ++i) {
      const float scale = d * static_cast<float>(unpacked.scales[i / 16]);
      out[b * kSuperBlock + i] = scale * static_cast<float>(unpacked.w[i]);
    }
  }
}

}  // namespace sluice::kernels
