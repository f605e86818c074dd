// The products of quant_panel.h with what every 64-bit Arm processor has:
// smull and smlal give products of bytes as 16 bits, one of each four columns
// to a lane, and as many are added there as 16 bits hold.
#ifndef SLUICE_KERNELS_QUANT_OPS_NEON_H_
#define SLUICE_KERNELS_QUANT_OPS_NEON_H_

#include "kernels/quant_ops_arm.h"

namespace sluice::kernels {
namespace {

struct Neon : ArmOps {
  // start + w . q, 4 kDwords weights.
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg Dot(Reg start, const Reg (&w)[kDwords],
                               const std::byte* q) {
    constexpr int kLimit = kMax == kWide ? 128 : kMax;
    constexpr int kFit = 32767 / (127 * kLimit);
    constexpr int kGroup = kFit < kDwords ? kFit / 2 * 2 : kDwords;
    static_assert(kGroup > 0 && kDwords % kGroup == 0);
    constexpr bool kPairsFit = 2 * kGroup <= kFit;
    int32x4_t low = Ints(start.low);
    int32x4_t high = Ints(start.high);
#pragma GCC unroll 8
    for (int first = 0; first < kDwords; first += kGroup) {
      Products a(w[first].low, q + 4 * first);
      Products b(w[first].high, q + 4 * first);
#pragma GCC unroll 8
      for (int k = first + 1; k < first + kGroup; ++k) {
        a.Add(w[k].low, q + 4 * k);
        b.Add(w[k].high, q + 4 * k);
      }
      low = a.template SumTo<kPairsFit>(low);
      high = b.template SumTo<kPairsFit>(high);
    }
    return FromInts(low, high);
  }
  // sum + scale * (w . q).
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                     Reg scale, const std::byte* q) {
    return AddProduct(sum, Dot<kMax>(Splat32(0), w, q), scale);
  }

 private:
  // Sums of products of four rows, each of the four columns by itself.
  struct Products {
    SLUICE_INLINE Products(uint8x16_t w, const std::byte* q) {
      const int8x16_t x = Signed(Broadcast(q).low);
      two = vmull_s8(vget_low_s8(Signed(w)), vget_low_s8(x));
      others = vmull_high_s8(Signed(w), x);
    }
    SLUICE_INLINE void Add(uint8x16_t w, const std::byte* q) {
      const int8x16_t x = Signed(Broadcast(q).low);
      two = vmlal_s8(two, vget_low_s8(Signed(w)), vget_low_s8(x));
      others = vmlal_high_s8(others, Signed(w), x);
    }
    // sum + each row's; kPairsFit: two of the lanes add up to 16 bits.
    template <bool kPairsFit>
    SLUICE_INLINE int32x4_t SumTo(int32x4_t sum) const {
      if constexpr (kPairsFit) {
        return vpadalq_s16(sum, vpaddq_s16(two, others));
      } else {
        return vaddq_s32(sum,
                         vpaddq_s32(vpaddlq_s16(two), vpaddlq_s16(others)));
      }
    }
    int16x8_t two;     // rows 0 and 1
    int16x8_t others;  // rows 2 and 3
  };
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_OPS_NEON_H_
