// The vector operations of quant_panel.h that all 64-bit Arm processors share:
// eight rows, in two registers. How weights and activations are multiplied is
// added by quant_ops_neon.h and quant_ops_dotprod.h; both multiply signed bytes
// with signed ones, so a biased weight may be at most 127, and types that need
// eight bits are unpacked signed.
#ifndef SLUICE_KERNELS_QUANT_OPS_ARM_H_
#define SLUICE_KERNELS_QUANT_OPS_ARM_H_

#include <arm_neon.h>

#include "kernels/quant_panel.h"

namespace sluice::kernels {
namespace {

// Rows 0 to 3 and rows 4 to 7.
struct ArmReg {
  uint8x16_t low;
  uint8x16_t high;
};
struct ArmFloat {
  float32x4_t low;
  float32x4_t high;
};

struct ArmOps {
  using Reg = ArmReg;
  using Float = ArmFloat;
  static constexpr std::size_t kLanes = 8;
  // Tokens that share what was unpacked: as many as registers hold.
  static constexpr int kPlainTile = 4;
  // Of these, those whose products take turns in the rows8 layout.
  static constexpr int kDotsTogether = 1;
  static constexpr int kSuperTile = 4;
  static constexpr bool kSignedWide = true;

  static SLUICE_INLINE Reg Both(uint8x16_t x) { return {x, x}; }
  static SLUICE_INLINE Reg Splat8(int x) {
    return Both(vdupq_n_u8(static_cast<std::uint8_t>(x)));
  }
  static SLUICE_INLINE Reg Splat32(int x) {
    return Both(vreinterpretq_u8_s32(vdupq_n_s32(x)));
  }
  static SLUICE_INLINE Reg And(Reg a, Reg b) {
    return {vandq_u8(a.low, b.low), vandq_u8(a.high, b.high)};
  }
  static SLUICE_INLINE Reg Or(Reg a, Reg b) {
    return {vorrq_u8(a.low, b.low), vorrq_u8(a.high, b.high)};
  }
  static SLUICE_INLINE Reg Xor(Reg a, Reg b) {
    return {veorq_u8(a.low, b.low), veorq_u8(a.high, b.high)};
  }
  static SLUICE_INLINE Reg Add8(Reg a, Reg b) {
    return {vaddq_u8(a.low, b.low), vaddq_u8(a.high, b.high)};
  }
  static SLUICE_INLINE Reg Sub8(Reg a, Reg b) {
    return {vsubq_u8(a.low, b.low), vsubq_u8(a.high, b.high)};
  }
  static SLUICE_INLINE Reg Sub32(Reg a, Reg b) {
    return FromInts(vsubq_s32(Ints(a.low), Ints(b.low)),
                    vsubq_s32(Ints(a.high), Ints(b.high)));
  }
  // 1 in every byte that is more than kLimit, without a sign, else 0.
  template <int kLimit>
  static SLUICE_INLINE Reg Above(Reg a) {
    const uint8x16_t limit = vdupq_n_u8(kLimit);
    return {vshrq_n_u8(vcgtq_u8(a.low, limit), 7),
            vshrq_n_u8(vcgtq_u8(a.high, limit), 7)};
  }
  // Shifts of 32-bit lanes.
  template <int kBits>
  static SLUICE_INLINE Reg Srl(Reg a) {
    return {Bytes(vshrq_n_u32(Words(a.low), kBits)),
            Bytes(vshrq_n_u32(Words(a.high), kBits))};
  }
  template <int kBits>
  static SLUICE_INLINE Reg Sll(Reg a) {
    return {Bytes(vshlq_n_u32(Words(a.low), kBits)),
            Bytes(vshlq_n_u32(Words(a.high), kBits))};
  }

  static SLUICE_INLINE Reg Table(const std::int8_t (&values)[16]) {
    return Both(vreinterpretq_u8_s8(vld1q_s8(values)));
  }
  static SLUICE_INLINE Reg LookUp(Reg table, Reg index) {
    return {vqtbl1q_u8(table.low, index.low),
            vqtbl1q_u8(table.high, index.high)};
  }

  // out[k], lane r: bytes [at + 4 k, at + 4 k + 4) of row r.
  static SLUICE_INLINE void LoadColumn(RowBlocks blocks, std::size_t at,
                                       Reg (&out)[4]) {
    uint8x16_t low[4];
    uint8x16_t high[4];
    LoadFour(blocks.first + at, blocks.stride, low);
    LoadFour(blocks.first + at + 4 * blocks.stride, blocks.stride, high);
    for (int k = 0; k < 4; ++k) out[k] = {low[k], high[k]};
  }

  // The binary16 in the low half of every lane.
  static SLUICE_INLINE Float HalfToFloat(Reg x) {
    return {HalvesToFloat(vmovn_u32(Words(x.low))),
            HalvesToFloat(vmovn_u32(Words(x.high)))};
  }
  // 2^(e - 128), e in [0, 255].
  static SLUICE_INLINE Float HalvedE8M0(Reg e) {
    return {HalvedE8M0(Words(e.low)), HalvedE8M0(Words(e.high))};
  }
  // Byte i of a lane: 16 where bit 4 kGroup + i of `bits` is set.
  template <int kGroup>
  static SLUICE_INLINE Reg FifthBits(Reg bits) {
    constexpr std::uint32_t kByte = kGroup / 2 * 0x01010101;
    const uint8x16_t from = Bytes(vaddq_u32(LaneStarts(), vdupq_n_u32(kByte)));
    const uint8x16_t mask =
        Bytes(vdupq_n_u32(kGroup % 2 == 0 ? 0x08040201 : 0x80402010));
    const uint8x16_t bit = vdupq_n_u8(16);
    return {vandq_u8(vtstq_u8(vqtbl1q_u8(bits.low, from), mask), bit),
            vandq_u8(vtstq_u8(vqtbl1q_u8(bits.high, from), mask), bit)};
  }

  static SLUICE_INLINE Reg Broadcast(const std::byte* p) {
    std::uint32_t x = 0;
    __builtin_memcpy(&x, p, 4);
    return Both(Bytes(vdupq_n_u32(x)));
  }
  static SLUICE_INLINE Float BroadcastFloat(const std::byte* p) {
    float x = 0.0F;
    __builtin_memcpy(&x, p, 4);
    return {vdupq_n_f32(x), vdupq_n_f32(x)};
  }
  // -kBias times the sum at p.
  template <int kBias>
  static SLUICE_INLINE Reg BiasTerm(const std::byte* p) {
    if constexpr (kBias == 0) return Splat32(0);
    int sum = 0;
    __builtin_memcpy(&sum, p, 4);
    return Splat32(-kBias * sum);
  }
  template <int kFactor>
  static SLUICE_INLINE Reg Times(Reg x) {
    static_assert((kFactor & (kFactor - 1)) == 0);
    return Sll<__builtin_ctz(kFactor)>(x);
  }

  // Byte kByte of every lane as 32 bits.
  template <int kByte, bool kSigned>
  static SLUICE_INLINE Reg ScaleFromByte(Reg bytes) {
    return {ByteOf<kByte, kSigned>(bytes.low),
            ByteOf<kByte, kSigned>(bytes.high)};
  }
  // Bytes kFirst and kFirst + 1 of every lane as a pair of int16.
  template <int kFirst, bool kSigned>
  static SLUICE_INLINE Reg PairFromBytes(Reg bytes) {
    // To the upper halves with zeros below, then down.
    constexpr std::uint32_t kFrom = kFirst << 8 | (kFirst + 1) << 24;
    const uint8x16_t from = Bytes(vorrq_u32(
        vaddq_u32(LaneStarts(), vdupq_n_u32(kFrom)), vdupq_n_u32(0x00FF00FF)));
    return {Upper<kSigned>(vqtbl1q_u8(bytes.low, from)),
            Upper<kSigned>(vqtbl1q_u8(bytes.high, from))};
  }
  // sum + the products of pairs.
  static SLUICE_INLINE Reg AddPairs(Reg sum, Reg a, Reg b) {
    return FromInts(vaddq_s32(Ints(sum.low), DotPairs(a.low, b.low)),
                    vaddq_s32(Ints(sum.high), DotPairs(a.high, b.high)));
  }
  // sum + x * y.
  static SLUICE_INLINE Reg AddProduct(Reg sum, Reg x, Reg y) {
    return FromInts(vmlaq_s32(Ints(sum.low), Ints(x.low), Ints(y.low)),
                    vmlaq_s32(Ints(sum.high), Ints(x.high), Ints(y.high)));
  }

  static SLUICE_INLINE Float ZeroFloat() {
    return {vdupq_n_f32(0.0F), vdupq_n_f32(0.0F)};
  }
  static SLUICE_INLINE Float ToFloat(Reg x) {
    return {vcvtq_f32_s32(Ints(x.low)), vcvtq_f32_s32(Ints(x.high))};
  }
  static SLUICE_INLINE Float Mul(Float a, Float b) {
    return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)};
  }
  static SLUICE_INLINE Float Fma(Float a, Float b, Float c) {
    return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
  }
  // -(a * b) + c, one rounding.
  static SLUICE_INLINE Float NegatedFma(Float a, Float b, Float c) {
    return {vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high)};
  }
  static SLUICE_INLINE void Store(float* p, Float x, std::size_t count) {
    float lanes[kLanes];
    float* to = count == kLanes ? p : lanes;
    vst1q_f32(to, x.low);
    vst1q_f32(to + 4, x.high);
    if (count != kLanes) __builtin_memcpy(p, lanes, count * sizeof(float));
  }

  // The parts of a register as they are taken.
  static SLUICE_INLINE int32x4_t Ints(uint8x16_t x) {
    return vreinterpretq_s32_u8(x);
  }
  static SLUICE_INLINE Reg FromInts(int32x4_t low, int32x4_t high) {
    return {vreinterpretq_u8_s32(low), vreinterpretq_u8_s32(high)};
  }
  static SLUICE_INLINE int8x16_t Signed(uint8x16_t x) {
    return vreinterpretq_s8_u8(x);
  }
  static SLUICE_INLINE float32x4_t HalvesToFloat(uint16x4_t x) {
    return vcvt_f32_f16(vreinterpret_f16_u16(x));
  }

 private:
  static SLUICE_INLINE uint32x4_t Words(uint8x16_t x) {
    return vreinterpretq_u32_u8(x);
  }
  static SLUICE_INLINE uint8x16_t Bytes(uint32x4_t x) {
    return vreinterpretq_u8_u32(x);
  }
  // out[k], lane r: bytes [4 k, 4 k + 4) of the row r * stride on, four rows.
  static SLUICE_INLINE void LoadFour(const std::uint8_t* p, std::size_t stride,
                                     uint8x16_t (&out)[4]) {
    const uint32x4_t a = Words(vld1q_u8(p));
    const uint32x4_t b = Words(vld1q_u8(p + stride));
    const uint32x4_t c = Words(vld1q_u8(p + 2 * stride));
    const uint32x4_t d = Words(vld1q_u8(p + 3 * stride));
    const uint64x2_t ab_even = vreinterpretq_u64_u32(vtrn1q_u32(a, b));
    const uint64x2_t ab_odd = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
    const uint64x2_t cd_even = vreinterpretq_u64_u32(vtrn1q_u32(c, d));
    const uint64x2_t cd_odd = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
    out[0] = vreinterpretq_u8_u64(vtrn1q_u64(ab_even, cd_even));
    out[1] = vreinterpretq_u8_u64(vtrn1q_u64(ab_odd, cd_odd));
    out[2] = vreinterpretq_u8_u64(vtrn2q_u64(ab_even, cd_even));
    out[3] = vreinterpretq_u8_u64(vtrn2q_u64(ab_odd, cd_odd));
  }
  static SLUICE_INLINE float32x4_t HalvedE8M0(uint32x4_t e) {
    const uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    const uint32x4_t subnormal =
        vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
    const uint32x4_t small = vcltq_u32(e, vdupq_n_u32(2));
    return vreinterpretq_f32_u32(vbslq_u32(small, subnormal, normal));
  }
  template <int kByte, bool kSigned>
  static SLUICE_INLINE uint8x16_t ByteOf(uint8x16_t x) {
    uint32x4_t top = Words(x);
    if constexpr (kByte < 3) top = vshlq_n_u32(top, 24 - 8 * kByte);
    if constexpr (!kSigned) return Bytes(vshrq_n_u32(top, 24));
    return vreinterpretq_u8_s32(vshrq_n_s32(vreinterpretq_s32_u32(top), 24));
  }
  // The upper byte of every 16 bits, widened.
  template <bool kSigned>
  static SLUICE_INLINE uint8x16_t Upper(uint8x16_t x) {
    if constexpr (kSigned) {
      return vreinterpretq_u8_s16(vshrq_n_s16(vreinterpretq_s16_u8(x), 8));
    } else {
      return vreinterpretq_u8_u16(vshrq_n_u16(vreinterpretq_u16_u8(x), 8));
    }
  }
  static SLUICE_INLINE int32x4_t DotPairs(uint8x16_t a, uint8x16_t b) {
    const int16x8_t x = vreinterpretq_s16_u8(a);
    const int16x8_t y = vreinterpretq_s16_u8(b);
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)),
                      vmull_high_s16(x, y));
  }
  // The index of the first byte of every lane in its 128 bits, in all four
  // bytes of the lane.
  static SLUICE_INLINE uint32x4_t LaneStarts() {
    return uint32x4_t{0, 0x04040404, 0x08080808, 0x0C0C0C0C};
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_OPS_ARM_H_
