// The vector operations of rows8_panel.h for 64-bit Arm: one row group. Ops is
// what multiplies: Neon (quant_ops_neon.h) or Dotprod (quant_ops_dotprod.h).
#ifndef SLUICE_KERNELS_ROWS8_OPS_ARM_H_
#define SLUICE_KERNELS_ROWS8_OPS_ARM_H_

#include "kernels/quant_ops_arm.h"
#include "kernels/rows8_panel.h"

namespace sluice::kernels {
namespace {

template <typename Ops>
struct Rows8Arm : Ops {
  using Reg = typename Ops::Reg;
  using Float = typename Ops::Float;

  // Four bytes of every row.
  static SLUICE_INLINE Reg LoadUnit4(GroupBlockPair blocks, std::size_t at) {
    const std::uint8_t* p = blocks.first + at;
    return {vld1q_u8(p), vld1q_u8(p + 16)};
  }
  // A binary16 of every row.
  static SLUICE_INLINE Float LoadHalves(GroupBlockPair blocks, std::size_t at) {
    const uint16x8_t halves = LoadUnit2(blocks, at);
    return {Ops::HalvesToFloat(vget_low_u16(halves)),
            Ops::HalvesToFloat(vget_high_u16(halves))};
  }
  // Two bytes of every row, zeros above.
  static SLUICE_INLINE Reg LoadWords(GroupBlockPair blocks, std::size_t at) {
    return Widen(LoadUnit2(blocks, at));
  }
  // A byte of every row, zeros above.
  static SLUICE_INLINE Reg LoadBytes(GroupBlockPair blocks, std::size_t at) {
    return Widen(vmovl_u8(vld1_u8(blocks.first + at)));
  }

  // a | (x & mask), where a has no bit of the mask.
  static SLUICE_INLINE Reg OrMasked(Reg a, Reg x, Reg mask) {
    return {vbslq_u8(mask.low, x.low, a.low),
            vbslq_u8(mask.high, x.high, a.high)};
  }
  template <int kFactor, std::size_t kCount>
  static SLUICE_INLINE void ScalePairs(Reg (&pairs)[kCount]) {
    for (Reg& pair : pairs) {
      pair = {ScalePair<kFactor>(pair.low), ScalePair<kFactor>(pair.high)};
    }
  }

  // Products of int16, their lower halves.
  static SLUICE_INLINE Reg MulPairs(Reg a, Reg b) {
    return {MulPair(a.low, b.low), MulPair(a.high, b.high)};
  }

  // start + w . q.
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8Dot(Reg start, const Reg (&w)[kDwords],
                                    const std::byte* q) {
    return Ops::template Dot<kMax>(start, w, q);
  }
  // sum + scale * (w . q).
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                          Reg scale, const std::byte* q) {
    return Ops::template ScaledDot<kMax>(sum, w, scale, q);
  }
  // Byte kByte of every lane, as Rows8ScaledDot wants it.
  template <int kMax, int kDwords, int kByte, bool kSigned>
  static SLUICE_INLINE Reg Rows8Scale(Reg bytes) {
    return Ops::template ScaleFromByte<kByte, kSigned>(bytes);
  }

 private:
  static SLUICE_INLINE uint16x8_t LoadUnit2(GroupBlockPair blocks,
                                            std::size_t at) {
    return vreinterpretq_u16_u8(vld1q_u8(blocks.first + at));
  }
  static SLUICE_INLINE Reg Widen(uint16x8_t x) {
    return {vreinterpretq_u8_u32(vmovl_u16(vget_low_u16(x))),
            vreinterpretq_u8_u32(vmovl_high_u16(x))};
  }
  static SLUICE_INLINE uint8x16_t MulPair(uint8x16_t a, uint8x16_t b) {
    return vreinterpretq_u8_s16(
        vmulq_s16(vreinterpretq_s16_u8(a), vreinterpretq_s16_u8(b)));
  }
  template <int kFactor>
  static SLUICE_INLINE uint8x16_t ScalePair(uint8x16_t x) {
    return vreinterpretq_u8_s16(vmulq_n_s16(vreinterpretq_s16_u8(x), kFactor));
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_OPS_ARM_H_
