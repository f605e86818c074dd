#include <array>

#include "kernels/planes.h"
#include "kernels/quant_blocks.h"
#include "kernels/rows8.h"
#include "kernels/rows8_moves.h"

namespace sluice::kernels {

static_assert(sizeof(BlockPlane2) == kPlane2Bytes &&
              sizeof(BlockResidual2) == kResidual2Bytes &&
              kSuperBlock == kPlaneBlock);

void FitPlanes(const KernelTable& table, const PlaneFit& fit) {
  const auto dequantize = table.dequantize[static_cast<std::size_t>(fit.type)];
  std::array<float, kPlaneBlock> alike;
  alike.fill(1.0F);
  const std::size_t blocks = fit.columns / kPlaneBlock;
  const std::size_t run = fit.row_bytes / blocks;
  for (std::size_t b = 0; b < blocks; ++b) {
    const float* importance = fit.importance == nullptr
                                  ? alike.data()
                                  : fit.importance + b * kPlaneBlock;
    std::array<std::byte, kRows8 * kPlane2Bytes> bases;
    std::array<std::byte, kRows8 * kResidual2Bytes> residuals;
    for (std::size_t r = 0; r < kRows8; ++r) {
      std::array<float, kPlaneBlock> x;
      dequantize(fit.rows + r * fit.row_bytes + b * run, x.size(), x.data());
      table.fit_planes(x.data(), importance, &bases[r * kPlane2Bytes],
                       &residuals[r * kResidual2Bytes]);
    }
    InterleaveBlocks(*FindRows8(WeightType::kPlane2), bases.data(),
                     kPlane2Bytes, fit.base + b * bases.size());
    InterleaveBlocks(Residual2Rows8(), residuals.data(), kResidual2Bytes,
                     fit.residual + b * residuals.size());
  }
}

}  // namespace sluice::kernels
