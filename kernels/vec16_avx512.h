// Avx512Vec16: sixteen float lanes in one register, for AVX-512 F, BW, VL, DQ.
// The operations are those of kernels/vec16_scalar.h, which defines them, and
// the rules there on linkage hold here.
#ifndef SLUICE_KERNELS_VEC16_AVX512_H_
#define SLUICE_KERNELS_VEC16_AVX512_H_

// g++ 12 takes the deliberately undefined operands in its own header for
// mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstddef>
#include <cstdint>

#include "kernels/unroll.h"

namespace sluice::kernels {
namespace {

struct Avx512Vec16 {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kTile = 16;  // of the thirty-two registers

  __m512 v;

  static Avx512Vec16 Zero() { return {_mm512_setzero_ps()}; }
  static Avx512Vec16 Splat(float x) { return {_mm512_set1_ps(x)}; }
  static Avx512Vec16 Load(const void* p) { return {_mm512_loadu_ps(p)}; }
  static Avx512Vec16 Load(const void* p, std::size_t count, float fill = 0.0F) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), First(count), p)};
  }
  static Avx512Vec16 LoadF16(const void* p) {
    return {
        _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
  }
  static Avx512Vec16 LoadF16(const void* p, std::size_t count) {
    return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(First(count), p))};
  }
  static Avx512Vec16 LoadBf16(const void* p) {
    return Widen(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static Avx512Vec16 LoadBf16(const void* p, std::size_t count) {
    return Widen(_mm256_maskz_loadu_epi16(First(count), p));
  }
  static Avx512Vec16 LoadInt8(const void* p) {
    return {_mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))))};
  }
  void Store(float* p) const { _mm512_storeu_ps(p, v); }
  void Store(float* p, std::size_t count) const {
    _mm512_mask_storeu_ps(p, First(count), v);
  }
  void StoreF16(std::uint16_t* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), Halves());
  }
  void StoreF16(std::uint16_t* p, std::size_t count) const {
    _mm256_mask_storeu_epi16(p, First(count), Halves());
  }

  static Avx512Vec16 Add(Avx512Vec16 a, Avx512Vec16 b) {
    return {_mm512_add_ps(a.v, b.v)};
  }
  static Avx512Vec16 Sub(Avx512Vec16 a, Avx512Vec16 b) {
    return {_mm512_sub_ps(a.v, b.v)};
  }
  static Avx512Vec16 Mul(Avx512Vec16 a, Avx512Vec16 b) {
    return {_mm512_mul_ps(a.v, b.v)};
  }
  static Avx512Vec16 Div(Avx512Vec16 a, Avx512Vec16 b) {
    return {_mm512_div_ps(a.v, b.v)};
  }
  static Avx512Vec16 Neg(Avx512Vec16 a) {
    return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0F))};
  }
  static Avx512Vec16 Fma(Avx512Vec16 a, Avx512Vec16 b, Avx512Vec16 c) {
    return {_mm512_fmadd_ps(a.v, b.v, c.v)};
  }
  static Avx512Vec16 Max(Avx512Vec16 a, Avx512Vec16 b) {
    return {_mm512_max_ps(a.v, b.v)};
  }
  static Avx512Vec16 Min(Avx512Vec16 a, Avx512Vec16 b) {
    return {_mm512_min_ps(a.v, b.v)};
  }
  static Avx512Vec16 Ldexp(Avx512Vec16 x, Avx512Vec16 shifted) {
    const __m512 n = _mm512_sub_ps(shifted.v, _mm512_set1_ps(0x1.8p23F));
    return {_mm512_scalef_ps(x.v, n)};
  }

  float Sum() const {
    const __m256 eight =
        _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight),
                                   _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  // Sixteen trees at once: every step adds the same pairs of lanes as Sum and
  // halves the number of registers, x[4 * i + j] ending in lane 4 * i + j.
  static void SumTile(const Avx512Vec16* x, float* sums) {
    __m512 quarter[4];  // of j: the last four partial sums of each x[4 * i + j]
    Unroll<4>([&](auto j) {
      const __m512 a = AddEights(x[j].v, x[4 + j].v);
      const __m512 b = AddEights(x[8 + j].v, x[12 + j].v);
      quarter[j] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88),
                                 _mm512_shuffle_f32x4(a, b, 0xDD));
    });
    const __m512 a = AddTwos(quarter[0], quarter[1]);
    const __m512 b = AddTwos(quarter[2], quarter[3]);
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88),
                                         _mm512_shuffle_ps(a, b, 0xDD)));
  }
  float Max() const {
    const __m256 eight =
        _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight),
                                   _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

 private:
  // The mask of the first `count` lanes, count <= 16.
  static __mmask16 First(std::size_t count) {
    return static_cast<__mmask16>((1U << count) - 1U);
  }
  static Avx512Vec16 Widen(__m256i bf16) {
    return {_mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16))};
  }
  __m256i Halves() const {
    return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
  }
  // Lanes i and i + 8 of a, then of b.
  static __m512 AddEights(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44),
                         _mm512_shuffle_f32x4(a, b, 0xEE));
  }
  // In each group of four lanes: i and i + 2 of a, then of b.
  static __m512 AddTwos(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44),
                         _mm512_shuffle_ps(a, b, 0xEE));
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_VEC16_AVX512_H_
