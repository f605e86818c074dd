// NeonVec16: sixteen float lanes in four registers, for 64-bit Arm.
// The operations are those of kernels/vec16_scalar.h, which defines them, and
// the rules there on linkage hold here.
//
// Not used: vmaxq_f32 and vminq_f32, which give NaN for either operand's NaN.
#ifndef SLUICE_KERNELS_VEC16_NEON_H_
#define SLUICE_KERNELS_VEC16_NEON_H_

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {
namespace {

struct NeonVec16 {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kTile = 4;  // sixteen of thirty-two registers

  float32x4_t a;
  float32x4_t b;
  float32x4_t c;
  float32x4_t d;

  static NeonVec16 Zero() { return Splat(0.0F); }
  static NeonVec16 Splat(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {v, v, v, v};
  }
  static NeonVec16 Load(const void* p) {
    return {
        vreinterpretq_f32_u8(Bytes(p, 0)), vreinterpretq_f32_u8(Bytes(p, 16)),
        vreinterpretq_f32_u8(Bytes(p, 32)), vreinterpretq_f32_u8(Bytes(p, 48))};
  }
  static NeonVec16 Load(const void* p, std::size_t count, float fill = 0.0F) {
    float lanes[kLanes];
    Splat(fill).Store(lanes);
    __builtin_memcpy(lanes, p, count * sizeof(float));
    return Load(lanes);
  }
  static NeonVec16 LoadF16(const void* p) {
    const float16x8_t low = vreinterpretq_f16_u8(Bytes(p, 0));
    const float16x8_t high = vreinterpretq_f16_u8(Bytes(p, 16));
    return {vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low),
            vcvt_f32_f16(vget_low_f16(high)), vcvt_high_f32_f16(high)};
  }
  static NeonVec16 LoadF16(const void* p, std::size_t count) {
    std::uint16_t lanes[kLanes] = {};
    __builtin_memcpy(lanes, p, count * sizeof(lanes[0]));
    return LoadF16(lanes);
  }
  static NeonVec16 LoadBf16(const void* p) {
    const uint16x8_t low = vreinterpretq_u16_u8(Bytes(p, 0));
    const uint16x8_t high = vreinterpretq_u16_u8(Bytes(p, 16));
    return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(low), 16)),
            vreinterpretq_f32_u32(vshll_high_n_u16(low, 16)),
            vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(high), 16)),
            vreinterpretq_f32_u32(vshll_high_n_u16(high, 16))};
  }
  static NeonVec16 LoadBf16(const void* p, std::size_t count) {
    std::uint16_t lanes[kLanes] = {};
    __builtin_memcpy(lanes, p, count * sizeof(lanes[0]));
    return LoadBf16(lanes);
  }
  static NeonVec16 LoadInt8(const void* p) {
    const int8x16_t q = vreinterpretq_s8_u8(Bytes(p, 0));
    const int16x8_t low = vmovl_s8(vget_low_s8(q));
    const int16x8_t high = vmovl_high_s8(q);
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
            vcvtq_f32_s32(vmovl_high_s16(low)),
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
            vcvtq_f32_s32(vmovl_high_s16(high))};
  }
  void Store(float* p) const {
    vst1q_f32(p, a);
    vst1q_f32(p + 4, b);
    vst1q_f32(p + 8, c);
    vst1q_f32(p + 12, d);
  }
  void Store(float* p, std::size_t count) const {
    float lanes[kLanes];
    Store(lanes);
    __builtin_memcpy(p, lanes, count * sizeof(float));
  }
  void StoreF16(std::uint16_t* p) const {
    const float16x8_t low = vcvt_high_f16_f32(vcvt_f16_f32(a), b);
    const float16x8_t high = vcvt_high_f16_f32(vcvt_f16_f32(c), d);
    vst1q_u16(p, vreinterpretq_u16_f16(low));
    vst1q_u16(p + 8, vreinterpretq_u16_f16(high));
  }
  void StoreF16(std::uint16_t* p, std::size_t count) const {
    std::uint16_t lanes[kLanes];
    StoreF16(lanes);
    __builtin_memcpy(p, lanes, count * sizeof(lanes[0]));
  }

  static NeonVec16 Add(NeonVec16 x, NeonVec16 y) {
    return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b), vaddq_f32(x.c, y.c),
            vaddq_f32(x.d, y.d)};
  }
  static NeonVec16 Sub(NeonVec16 x, NeonVec16 y) {
    return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c),
            vsubq_f32(x.d, y.d)};
  }
  static NeonVec16 Mul(NeonVec16 x, NeonVec16 y) {
    return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c),
            vmulq_f32(x.d, y.d)};
  }
  static NeonVec16 Div(NeonVec16 x, NeonVec16 y) {
    return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b), vdivq_f32(x.c, y.c),
            vdivq_f32(x.d, y.d)};
  }
  static NeonVec16 Neg(NeonVec16 x) {
    return {vnegq_f32(x.a), vnegq_f32(x.b), vnegq_f32(x.c), vnegq_f32(x.d)};
  }
  static NeonVec16 Fma(NeonVec16 x, NeonVec16 y, NeonVec16 z) {
    return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b),
            vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
  }
  static NeonVec16 Max(NeonVec16 x, NeonVec16 y) {
    return {Max(x.a, y.a), Max(x.b, y.b), Max(x.c, y.c), Max(x.d, y.d)};
  }
  static NeonVec16 Min(NeonVec16 x, NeonVec16 y) {
    return {Min(x.a, y.a), Min(x.b, y.b), Min(x.c, y.c), Min(x.d, y.d)};
  }
  static NeonVec16 Ldexp(NeonVec16 x, NeonVec16 shifted) {
    return {Ldexp(x.a, shifted.a), Ldexp(x.b, shifted.b), Ldexp(x.c, shifted.c),
            Ldexp(x.d, shifted.d)};
  }

  float Sum() const {
    const float32x4_t four = Fours();
    return vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
  }
  // Four trees at once: every step adds the same pairs of lanes as Sum.
  static void SumTile(const NeonVec16* x, float* sums) {
    const float32x4_t low = AddTwos(x[0].Fours(), x[1].Fours());
    const float32x4_t high = AddTwos(x[2].Fours(), x[3].Fours());
    vst1q_f32(sums, vpaddq_f32(low, high));
  }
  float Max() const {
    const float32x4_t four = Max(Max(a, c), Max(b, d));
    const float32x4_t two = Max(four, vextq_f32(four, four, 2));
    return vgetq_lane_f32(Max(two, vextq_f32(two, two, 1)), 0);
  }

 private:
  static uint8x16_t Bytes(const void* p, std::size_t at) {
    return vld1q_u8(static_cast<const std::uint8_t*>(p) + at);
  }
  // Lanes i, i + 8, i + 4 and i + 12, as Sum adds them.
  float32x4_t Fours() const {
    return vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
  }
  // Lanes i and i + 2 of x, then of y.
  static float32x4_t AddTwos(float32x4_t x, float32x4_t y) {
    const float64x2_t xs = vreinterpretq_f64_f32(x);
    const float64x2_t ys = vreinterpretq_f64_f32(y);
    return vaddq_f32(vreinterpretq_f32_f64(vtrn1q_f64(xs, ys)),
                     vreinterpretq_f32_f64(vtrn2q_f64(xs, ys)));
  }
  static float32x4_t Max(float32x4_t x, float32x4_t y) {
    return vbslq_f32(vcgtq_f32(x, y), x, y);
  }
  static float32x4_t Min(float32x4_t x, float32x4_t y) {
    return vbslq_f32(vcltq_f32(x, y), x, y);
  }
  static float32x4_t PowerOfTwo(int32x4_t n) {
    return vreinterpretq_f32_s32(
        vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
  }
  // In two factors, as in ScalarVec16.
  static float32x4_t Ldexp(float32x4_t x, float32x4_t shifted) {
    const int32x4_t n =
        vsubq_s32(vreinterpretq_s32_f32(shifted), vdupq_n_s32(0x4B400000));
    const int32x4_t half = vshrq_n_s32(n, 1);
    return vmulq_f32(vmulq_f32(x, PowerOfTwo(half)),
                     PowerOfTwo(vsubq_s32(n, half)));
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_VEC16_NEON_H_
