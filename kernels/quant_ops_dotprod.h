// The products of quant_panel.h with the dot product instructions of Armv8.2:
// sdot adds four products to each 32-bit lane, and takes the activations from
// one lane of a register, so that nothing needs to be broadcast.
#ifndef SLUICE_KERNELS_QUANT_OPS_DOTPROD_H_
#define SLUICE_KERNELS_QUANT_OPS_DOTPROD_H_

#include "kernels/quant_ops_arm.h"

namespace sluice::kernels {
namespace {

struct Dotprod : ArmOps {
  // start + w . q, 4 kDwords weights. Processors forward a sum to the next
  // sdot on it in one cycle: more chains than the two halves are not needed.
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg Dot(Reg start, const Reg (&w)[kDwords],
                               const std::byte* q) {
    static_assert(kDwords % 4 == 0);
    int32x4_t low = Ints(start.low);
    int32x4_t high = Ints(start.high);
#pragma GCC unroll 2
    for (int k = 0; k < kDwords; k += 4) {
      const int8x16_t x =
          vld1q_s8(reinterpret_cast<const std::int8_t*>(q + 4 * k));
      low = vdotq_laneq_s32(low, Signed(w[k].low), x, 0);
      high = vdotq_laneq_s32(high, Signed(w[k].high), x, 0);
      low = vdotq_laneq_s32(low, Signed(w[k + 1].low), x, 1);
      high = vdotq_laneq_s32(high, Signed(w[k + 1].high), x, 1);
      low = vdotq_laneq_s32(low, Signed(w[k + 2].low), x, 2);
      high = vdotq_laneq_s32(high, Signed(w[k + 2].high), x, 2);
      low = vdotq_laneq_s32(low, Signed(w[k + 3].low), x, 3);
      high = vdotq_laneq_s32(high, Signed(w[k + 3].high), x, 3);
    }
    return FromInts(low, high);
  }
  // sum + scale * (w . q).
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                     Reg scale, const std::byte* q) {
    return AddProduct(sum, Dot<kMax>(Splat32(0), w, q), scale);
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_OPS_DOTPROD_H_
