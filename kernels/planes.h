// Nested weights: one matrix at two precisions, where the higher one is the
// lower one and something more. A base plane (WeightType::kPlane2) is complete
// in itself; with a residual plane it becomes the full weights. So one copy
// serves both, and an upgrade needs the residual alone.
//
// Weights come in superblocks of 256, in 16 sub-blocks of 16. A superblock of
// the base has 82 bytes (2.5625 bits a weight):
//
//   f16 d                  at 0
//   u8  scales[16]         at 2    sub-block i: s in bits 0 .. 3, m in 4 .. 7
//   u8  qs[64]             at 18   weight 128 h + 32 p + i has its code g in
//                                  bits 2p, 2p + 1 of byte 32 h + i
//
// and one of the residual 66 (together 148, 4.625 bits a weight):
//
//   f16 d                  at 0
//   u8  qs[64]             at 2    codes r, placed as the base's
//
// A weight of the sub-block with s and m is
//
//   base alone   base.d * float(s) * float(8 g + m - 19)
//   both         residual.d * float(s) * float(2 (4 g + r) + m - 22)
//
// in that order; every product is exact (11 bits of d times at most 9). The
// codes of both are one uniform grid, at -12, -4, 4 and 12 for g and -15, -13
// .. 15 for 4 g + r: r divides what rounds to g. m moves the grid of a
// sub-block by m - 7 to where its weights are. The two d differ because coarse
// rounding shrinks what it rounds (kernels/plane_fit_impl.h).
//
// In the layout rows8 (kernels/rows8.h) each plane is interleaved by itself,
// and its group blocks are consecutive.
//
// Thread safety: functions write only their outputs.
#ifndef SLUICE_KERNELS_PLANES_H_
#define SLUICE_KERNELS_PLANES_H_

#include <cstddef>

#include "kernels/kernel_table.h"

namespace sluice::kernels {

// Weights and bytes of a superblock of each plane.
inline constexpr std::size_t kPlaneBlock = 256;
inline constexpr std::size_t kPlane2Bytes = 82;
inline constexpr std::size_t kResidual2Bytes = 66;

// n weights of a row from both planes, rows as above (not interleaved), as
// table.dequantize[kPlane2] does from the base alone. n is a multiple of 256.
void DequantizePlanes(const std::byte* base, const std::byte* residual,
                      std::size_t n, float* out);

// Weights that planes are fitted to, and where the planes go.
struct PlaneFit {
  WeightType type = WeightType::kF32;  // of the weights
  const std::byte* rows = nullptr;     // eight, without padding
  std::size_t row_bytes = 0;
  std::size_t columns = 0;  // a multiple of 256
  // [columns] what an error in each column costs: the mean square of the
  // activation that it multiplies. None: all alike.
  const float* importance = nullptr;
  std::byte* base = nullptr;      // [columns / 256] group blocks of rows8
  std::byte* residual = nullptr;  // as many
};

// Finds planes that are close to eight rows of weights at both levels, by
// `table`, whichever it is with the same result. Weights that are no finite
// numbers make their superblock NaN. See kernels/plane_fit_impl.h for how.
void FitPlanes(const KernelTable& table, const PlaneFit& fit);

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_PLANES_H_
