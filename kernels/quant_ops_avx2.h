// The vector operations of quant_panel.h with AVX2, FMA and F16C: eight rows.
//
// vpmaddubsw multiplies unsigned weights with signed activations and adds pairs
// to 16 bits, saturating. Nothing here can saturate: activations are in
// [-127, 127], a codec states the largest biased weight kMax, and no more pairs
// are added than 16 bits hold. Types that need eight bits are kept signed: the
// sign moves to the activation, |w| <= 128, and 2 * 128 * 127 < 2^15.
#ifndef SLUICE_KERNELS_QUANT_OPS_AVX2_H_
#define SLUICE_KERNELS_QUANT_OPS_AVX2_H_

#include <immintrin.h>

#include "kernels/quant_panel.h"

namespace sluice::kernels {
namespace {

struct Avx2 {
  using Reg = __m256i;
  using Float = __m256;
  static constexpr std::size_t kLanes = 8;
  // Tokens that share what was unpacked: as many as registers hold.
  static constexpr int kPlainTile = 4;
  // Of these, those whose products take turns in the rows8 layout.
  static constexpr int kDotsTogether = 1;
  static constexpr int kSuperTile = 4;
  static constexpr bool kSignedWide = true;

  static SLUICE_INLINE Reg Splat8(int x) {
    return _mm256_set1_epi8(static_cast<char>(x));
  }
  static SLUICE_INLINE Reg Splat32(int x) { return _mm256_set1_epi32(x); }
  static SLUICE_INLINE Reg And(Reg a, Reg b) { return _mm256_and_si256(a, b); }
  static SLUICE_INLINE Reg Or(Reg a, Reg b) { return _mm256_or_si256(a, b); }
  static SLUICE_INLINE Reg Xor(Reg a, Reg b) { return _mm256_xor_si256(a, b); }
  static SLUICE_INLINE Reg Add8(Reg a, Reg b) { return _mm256_add_epi8(a, b); }
  static SLUICE_INLINE Reg Sub8(Reg a, Reg b) { return _mm256_sub_epi8(a, b); }
  static SLUICE_INLINE Reg Sub32(Reg a, Reg b) {
    return _mm256_sub_epi32(a, b);
  }
  // 1 in every byte that is more than kLimit, without a sign, else 0.
  template <int kLimit>
  static SLUICE_INLINE Reg Above(Reg a) {
    return _mm256_min_epu8(_mm256_subs_epu8(a, Splat8(kLimit)), Splat8(1));
  }
  // Shifts of 32-bit lanes.
  template <int kBits>
  static SLUICE_INLINE Reg Srl(Reg a) {
    return _mm256_srli_epi32(a, kBits);
  }
  template <int kBits>
  static SLUICE_INLINE Reg Sll(Reg a) {
    return _mm256_slli_epi32(a, kBits);
  }

  static SLUICE_INLINE Reg Table(const std::int8_t (&values)[16]) {
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
  }
  static SLUICE_INLINE Reg LookUp(Reg table, Reg index) {
    return _mm256_shuffle_epi8(table, index);
  }

  // out[k], lane r: bytes [at + 4 k, at + 4 k + 4) of row r.
  static SLUICE_INLINE void LoadColumn(RowBlocks blocks, std::size_t at,
                                       Reg (&out)[4]) {
    const std::uint8_t* p = blocks.first + at;
    const std::size_t s = blocks.stride;
    const Reg a = LoadTwo(p, s);
    const Reg b = LoadTwo(p + s, s);
    const Reg c = LoadTwo(p + 2 * s, s);
    const Reg d = LoadTwo(p + 3 * s, s);
    const Reg ab_low = _mm256_unpacklo_epi32(a, b);
    const Reg ab_high = _mm256_unpackhi_epi32(a, b);
    const Reg cd_low = _mm256_unpacklo_epi32(c, d);
    const Reg cd_high = _mm256_unpackhi_epi32(c, d);
    out[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
    out[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
    out[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
    out[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
  }

  // The binary16 in the low half of every lane.
  static SLUICE_INLINE Float HalfToFloat(Reg x) {
    const Reg low = _mm256_and_si256(x, Splat32(0xFFFF));
    const Reg packed = _mm256_packus_epi32(low, low);
    return _mm256_cvtph_ps(
        _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
  }
  // 2^(e - 128), e in [0, 255].
  static SLUICE_INLINE Float HalvedE8M0(Reg e) {
    // Below 2 the first is negative or 0; from 2 on it is the larger.
    const Reg normal =
        _mm256_sub_epi32(_mm256_slli_epi32(e, 23), Splat32(1 << 23));
    const Reg subnormal =
        _mm256_add_epi32(_mm256_slli_epi32(e, 21), Splat32(1 << 21));
    return _mm256_castsi256_ps(_mm256_max_epi32(normal, subnormal));
  }
  // Byte i of a lane: 16 where bit 4 kGroup + i of `bits` is set.
  template <int kGroup>
  static SLUICE_INLINE Reg FifthBits(Reg bits) {
    constexpr int kByte = kGroup / 2 * 0x01010101;
    const Reg from = _mm256_add_epi32(LaneStarts(), Splat32(kByte));
    const Reg mask = Splat32(kGroup % 2 == 0 ? 0x08040201 : -2143281136);
    const Reg spread = _mm256_and_si256(_mm256_shuffle_epi8(bits, from), mask);
    return _mm256_and_si256(_mm256_cmpeq_epi8(spread, mask), Splat8(16));
  }

  static SLUICE_INLINE Reg Broadcast(const std::byte* p) {
    int x = 0;
    __builtin_memcpy(&x, p, 4);
    return _mm256_set1_epi32(x);
  }
  static SLUICE_INLINE Float BroadcastFloat(const std::byte* p) {
    float x = 0.0F;
    __builtin_memcpy(&x, p, 4);
    return _mm256_set1_ps(x);
  }
  // -kBias times the sum at p.
  template <int kBias>
  static SLUICE_INLINE Reg BiasTerm(const std::byte* p) {
    if constexpr (kBias == 0) return _mm256_setzero_si256();
    int sum = 0;
    __builtin_memcpy(&sum, p, 4);
    return _mm256_set1_epi32(-kBias * sum);
  }
  template <int kFactor>
  static SLUICE_INLINE Reg Times(Reg x) {
    static_assert((kFactor & (kFactor - 1)) == 0);
    return _mm256_slli_epi32(x, __builtin_ctz(kFactor));
  }

  // start + w . q, 4 kDwords weights.
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg Dot(Reg start, const Reg (&w)[kDwords],
                               const std::byte* q) {
    return ScaledDot<kMax>(start, w, _mm256_set1_epi16(1), q);
  }
  // sum + scale * (w . q), scale as pairs of equal int16.
  template <int kMax, int kDwords>
  static SLUICE_INLINE Reg ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                     Reg scale, const std::byte* q) {
    constexpr int kGroup =
        kMax == kWide ? 1 : PowerOfTwo(32767 / (2 * 127 * kMax), kDwords);
#pragma GCC unroll 8
    for (int first = 0; first < kDwords; first += kGroup) {
      Reg products = Products<kMax>(w[first], Broadcast(q + 4 * first));
#pragma GCC unroll 8
      for (int k = first + 1; k < first + kGroup; ++k) {
        products = _mm256_add_epi16(products,
                                    Products<kMax>(w[k], Broadcast(q + 4 * k)));
      }
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, scale));
    }
    return sum;
  }
  // Byte kByte of every lane, as ScaledDot wants it.
  template <int kByte, bool kSigned>
  static SLUICE_INLINE Reg ScaleFromByte(Reg bytes) {
    return Widen<kByte, kByte, kSigned>(bytes);
  }
  // Bytes kFirst and kFirst + 1 of every lane as a pair of int16.
  template <int kFirst, bool kSigned>
  static SLUICE_INLINE Reg PairFromBytes(Reg bytes) {
    return Widen<kFirst, kFirst + 1, kSigned>(bytes);
  }
  // sum + the products of pairs.
  static SLUICE_INLINE Reg AddPairs(Reg sum, Reg a, Reg b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  }

  static SLUICE_INLINE Float ZeroFloat() { return _mm256_setzero_ps(); }
  static SLUICE_INLINE Float ToFloat(Reg x) { return _mm256_cvtepi32_ps(x); }
  static SLUICE_INLINE Float Mul(Float a, Float b) {
    return _mm256_mul_ps(a, b);
  }
  static SLUICE_INLINE Float Fma(Float a, Float b, Float c) {
    return _mm256_fmadd_ps(a, b, c);
  }
  // -(a * b) + c, one rounding.
  static SLUICE_INLINE Float NegatedFma(Float a, Float b, Float c) {
    return _mm256_fnmadd_ps(a, b, c);
  }
  static SLUICE_INLINE void Store(float* p, Float x, std::size_t count) {
    if (count == kLanes) return _mm256_storeu_ps(p, x);
    const Reg lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const Reg end = _mm256_set1_epi32(static_cast<int>(count));
    _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(end, lane), x);
  }

 private:
  // The largest power of two that is at most `limit` and `cap`.
  static constexpr int PowerOfTwo(int limit, int cap) {
    int power = 1;
    while (2 * power <= limit && 2 * power <= cap) power *= 2;
    return power;
  }
  // 16 bytes at p and 4 rows on.
  static SLUICE_INLINE Reg LoadTwo(const std::uint8_t* p, std::size_t stride) {
    const auto* low = reinterpret_cast<const __m128i*>(p);
    const auto* high = reinterpret_cast<const __m128i*>(p + 4 * stride);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)),
                                   _mm_loadu_si128(high), 1);
  }
  // Sums of neighbouring products, as int16.
  template <int kMax>
  static SLUICE_INLINE Reg Products(Reg w, Reg q) {
    if constexpr (kMax == kWide) {
      return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
    } else {
      return _mm256_maddubs_epi16(w, q);
    }
  }
  // Two bytes of every lane as a pair of int16.
  template <int kLow, int kHigh, bool kSigned>
  static SLUICE_INLINE Reg Widen(Reg bytes) {
    // To the upper halves with zeros below, then down.
    constexpr int kFrom = kLow << 8 | kHigh << 24;
    const Reg from = _mm256_or_si256(
        _mm256_add_epi32(LaneStarts(), Splat32(kFrom)), Splat32(0x00800080));
    const Reg top = _mm256_shuffle_epi8(bytes, from);
    return kSigned ? _mm256_srai_epi16(top, 8) : _mm256_srli_epi16(top, 8);
  }
  // The index of the first byte of every lane in its 128 bits, in all four
  // bytes of the lane.
  static SLUICE_INLINE Reg LaneStarts() {
    return _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0,
                             0x04040404, 0x08080808, 0x0C0C0C0C);
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_OPS_AVX2_H_
