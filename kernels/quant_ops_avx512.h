// The vector operations of quant_panel.h with AVX-512 F, BW, VL, DQ and VNNI:
// sixteen rows, biased weights times signed activations with vpdpbusd, which
// adds four products to 32 bits without saturation.
#ifndef SLUICE_KERNELS_QUANT_OPS_AVX512_H_
#define SLUICE_KERNELS_QUANT_OPS_AVX512_H_

#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 warns of its own _mm512_undefined_epi32 (gcc bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#include "kernels/quant_panel.h"

namespace sluice::kernels {
namespace {

struct Avx512 {
  using Reg = __m512i;
  using Float = __m512;
  static constexpr std::size_t kLanes = 16;
  // Tokens that share what was unpacked: as many as registers hold. Sixteen are
  // a quarter faster than eight for the plain types; the types with sub-blocks
  // of 16 then spill and take twice as long.
  static constexpr int kPlainTile = 16;
  // Of these, those whose products take turns in the rows8 layout.
  static constexpr int kDotsTogether = 4;
  static constexpr int kSuperTile = 8;
  static constexpr bool kSignedWide = false;

  static SLUICE_INLINE Reg Splat8(int x) {
    return _mm512_set1_epi8(static_cast<char>(x));
  }
  static SLUICE_INLINE Reg Splat32(int x) { return _mm512_set1_epi32(x); }
  static SLUICE_INLINE Reg And(Reg a, Reg b) { return _mm512_and_si512(a, b); }
  static SLUICE_INLINE Reg Or(Reg a, Reg b) { return _mm512_or_si512(a, b); }
  static SLUICE_INLINE Reg Xor(Reg a, Reg b) { return _mm512_xor_si512(a, b); }
  static SLUICE_INLINE Reg Add8(Reg a, Reg b) { return _mm512_add_epi8(a, b); }
  static SLUICE_INLINE Reg Sub8(Reg a, Reg b) { return _mm512_sub_epi8(a, b); }
  static SLUICE_INLINE Reg Sub32(Reg a, Reg b) {
    return _mm512_sub_epi32(a, b);
  }
  // 1 in every byte that is more than kLimit, without a sign, else 0.
  template <int kLimit>
  static SLUICE_INLINE Reg Above(Reg a) {
    return _mm512_min_epu8(_mm512_subs_epu8(a, Splat8(kLimit)), Splat8(1));
  }
  // Shifts of 32-bit lanes.
  template <unsigned kBits>
  static SLUICE_INLINE Reg Srl(Reg a) {
    return _mm512_srli_epi32(a, kBits);
  }
  template <unsigned kBits>
  static SLUICE_INLINE Reg Sll(Reg a) {
    return _mm512_slli_epi32(a, kBits);
  }

  static SLUICE_INLINE Reg Table(const std::int8_t (&values)[16]) {
    return _mm512_broadcast_i32x4(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
  }
  static SLUICE_INLINE Reg LookUp(Reg table, Reg index) {
    return _mm512_shuffle_epi8(table, index);
  }

  // 16 bytes at p, p + 4, p + 8 and p + 12 rows, one to each 128-bit part.
  static SLUICE_INLINE Reg LoadEveryFourth(const std::uint8_t* p,
                                           std::size_t stride) {
    const __m256i low = _mm256_inserti128_si256(
        _mm256_castsi128_si256(Load128(p)), Load128(p + 4 * stride), 1);
    const __m256i high =
        _mm256_inserti128_si256(_mm256_castsi128_si256(Load128(p + 8 * stride)),
                                Load128(p + 12 * stride), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }

  // out[k], lane r: bytes [at + 4 k, at + 4 k + 4) of row r.
  static SLUICE_INLINE void LoadColumn(RowBlocks blocks, std::size_t at,
                                       Reg (&out)[4]) {
    const std::uint8_t* p = blocks.first + at;
    const std::size_t s = blocks.stride;
    const Reg a = LoadEveryFourth(p, s);
    const Reg b = LoadEveryFourth(p + s, s);
    const Reg c = LoadEveryFourth(p + 2 * s, s);
    const Reg d = LoadEveryFourth(p + 3 * s, s);
    const Reg ab_low = _mm512_unpacklo_epi32(a, b);
    const Reg ab_high = _mm512_unpackhi_epi32(a, b);
    const Reg cd_low = _mm512_unpacklo_epi32(c, d);
    const Reg cd_high = _mm512_unpackhi_epi32(c, d);
    out[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
    out[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    out[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    out[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
  }

  // The binary16 in the low half of every lane.
  static SLUICE_INLINE Float HalfToFloat(Reg x) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x));
  }
  // 2^(e - 128), e in [0, 255].
  static SLUICE_INLINE Float HalvedE8M0(Reg e) {
    const Reg normal = _mm512_slli_epi32(_mm512_sub_epi32(e, Splat32(1)), 23);
    const Reg subnormal = _mm512_sllv_epi32(Splat32(0x00200000), e);
    const __mmask16 small = _mm512_cmplt_epi32_mask(e, Splat32(2));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, small, subnormal));
  }
  // Byte i of a lane: 16 where bit 4 kGroup + i of `bits` is set.
  template <int kGroup>
  static SLUICE_INLINE Reg FifthBits(Reg bits) {
    constexpr int kByte = kGroup / 2 * 0x01010101;
    const Reg from = _mm512_add_epi32(LaneStarts(), Splat32(kByte));
    const Reg spread = _mm512_shuffle_epi8(bits, from);
    const Reg mask = Splat32(kGroup % 2 == 0 ? 0x08040201 : -2143281136);
    return _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(spread, mask),
                                 Splat8(16));
  }

  static SLUICE_INLINE Reg Broadcast(const std::byte* p) {
    int x = 0;
    __builtin_memcpy(&x, p, 4);
    return _mm512_set1_epi32(x);
  }
  static SLUICE_INLINE Float BroadcastFloat(const std::byte* p) {
    float x = 0.0F;
    __builtin_memcpy(&x, p, 4);
    return _mm512_set1_ps(x);
  }
  // -kBias times the sum at p.
  template <int kBias>
  static SLUICE_INLINE Reg BiasTerm(const std::byte* p) {
    if constexpr (kBias == 0) return _mm512_setzero_si512();
    int sum = 0;
    __builtin_memcpy(&sum, p, 4);
    return _mm512_set1_epi32(-kBias * sum);
  }
  template <int kFactor>
  static SLUICE_INLINE Reg Times(Reg x) {
    static_assert((kFactor & (kFactor - 1)) == 0);
    return _mm512_slli_epi32(x, __builtin_ctz(kFactor));
  }

  // start + w . q, 4 kDwords weights. Two chains, for the latency.
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg Dot(Reg start, const Reg (&w)[kDwords],
                               const std::byte* q) {
    Reg even = _mm512_dpbusd_epi32(start, w[0], Broadcast(q));
    Reg odd =
        _mm512_dpbusd_epi32(_mm512_setzero_si512(), w[1], Broadcast(q + 4));
#pragma GCC unroll 4
    for (int k = 2; k < kDwords; k += 2) {
      even = _mm512_dpbusd_epi32(even, w[k], Broadcast(q + 4 * k));
      odd = _mm512_dpbusd_epi32(odd, w[k + 1], Broadcast(q + 4 * k + 4));
    }
    return _mm512_add_epi32(even, odd);
  }
  // sum + scale * (w . q).
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                     Reg scale, const std::byte* q) {
    const Reg dot = Dot<kMax>(_mm512_setzero_si512(), w, q);
    return _mm512_add_epi32(sum, _mm512_mullo_epi32(dot, scale));
  }
  // Byte kByte of every lane, as ScaledDot wants it.
  template <int kByte, bool kSigned>
  static SLUICE_INLINE Reg ScaleFromByte(Reg bytes) {
    const Reg top = _mm512_slli_epi32(bytes, 24 - 8 * kByte);
    return kSigned ? _mm512_srai_epi32(top, 24) : _mm512_srli_epi32(top, 24);
  }
  // Bytes kFirst and kFirst + 1 of every lane as a pair of int16.
  template <int kFirst, bool kSigned>
  static SLUICE_INLINE Reg PairFromBytes(Reg bytes) {
    constexpr int kHigh = kFirst << 8 | (kFirst + 1) << 24;
    // Each byte to the upper half of its 16 bits, zero below.
    const Reg from = _mm512_or_si512(
        _mm512_add_epi32(LaneStarts(), Splat32(kHigh)), Splat32(0x00800080));
    const Reg top = _mm512_shuffle_epi8(bytes, from);
    return kSigned ? _mm512_srai_epi16(top, 8) : _mm512_srli_epi16(top, 8);
  }
  // sum + the products of pairs.
  static SLUICE_INLINE Reg AddPairs(Reg sum, Reg a, Reg b) {
    return _mm512_dpwssd_epi32(sum, a, b);
  }

  static SLUICE_INLINE Float ZeroFloat() { return _mm512_setzero_ps(); }
  static SLUICE_INLINE Float ToFloat(Reg x) { return _mm512_cvtepi32_ps(x); }
  static SLUICE_INLINE Float Mul(Float a, Float b) {
    return _mm512_mul_ps(a, b);
  }
  static SLUICE_INLINE Float Fma(Float a, Float b, Float c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  // -(a * b) + c, one rounding.
  static SLUICE_INLINE Float NegatedFma(Float a, Float b, Float c) {
    return _mm512_fnmadd_ps(a, b, c);
  }
  static SLUICE_INLINE void Store(float* p, Float x, std::size_t count) {
    const auto mask = static_cast<__mmask16>((1U << count) - 1);
    _mm512_mask_storeu_ps(p, mask, x);
  }

 private:
  static SLUICE_INLINE __m128i Load128(const std::uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  // The index of the first byte of every lane in its 128 bits, in all four
  // bytes of the lane.
  static SLUICE_INLINE Reg LaneStarts() {
    return _mm512_broadcast_i32x4(
        _mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C));
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_OPS_AVX512_H_
