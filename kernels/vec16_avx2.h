// Avx2Vec16: sixteen float lanes in two registers, for AVX2 with FMA and F16C.
// The operations are those of kernels/vec16_scalar.h, which defines them, and
// the rules there on linkage hold here.
#ifndef SLUICE_KERNELS_VEC16_AVX2_H_
#define SLUICE_KERNELS_VEC16_AVX2_H_

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {
namespace {

struct Avx2Vec16 {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kTile = 4;  // eight of the sixteen registers

  __m256 low;
  __m256 high;

  static Avx2Vec16 Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Avx2Vec16 Splat(float x) {
    return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
  }
  static Avx2Vec16 Load(const void* p) {
    const auto* f = static_cast<const float*>(p);
    return {_mm256_loadu_ps(f), _mm256_loadu_ps(f + 8)};
  }
  static Avx2Vec16 Load(const void* p, std::size_t count, float fill = 0.0F) {
    float lanes[kLanes];
    Splat(fill).Store(lanes);
    __builtin_memcpy(lanes, p, count * sizeof(float));
    return Load(lanes);
  }
  static Avx2Vec16 LoadF16(const void* p) {
    const auto* h = static_cast<const __m128i*>(p);
    return {_mm256_cvtph_ps(_mm_loadu_si128(h)),
            _mm256_cvtph_ps(_mm_loadu_si128(h + 1))};
  }
  static Avx2Vec16 LoadF16(const void* p, std::size_t count) {
    std::uint16_t lanes[kLanes] = {};
    __builtin_memcpy(lanes, p, count * sizeof(lanes[0]));
    return LoadF16(lanes);
  }
  static Avx2Vec16 LoadBf16(const void* p) {
    const auto* h = static_cast<const __m128i*>(p);
    return {Widen(_mm_loadu_si128(h)), Widen(_mm_loadu_si128(h + 1))};
  }
  static Avx2Vec16 LoadBf16(const void* p, std::size_t count) {
    std::uint16_t lanes[kLanes] = {};
    __builtin_memcpy(lanes, p, count * sizeof(lanes[0]));
    return LoadBf16(lanes);
  }
  static Avx2Vec16 LoadInt8(const void* p) {
    const auto* q = static_cast<const char*>(p);
    return {Widen8(_mm_loadu_si64(q)), Widen8(_mm_loadu_si64(q + 8))};
  }
  void Store(float* p) const {
    _mm256_storeu_ps(p, low);
    _mm256_storeu_ps(p + 8, high);
  }
  void Store(float* p, std::size_t count) const {
    float lanes[kLanes];
    Store(lanes);
    __builtin_memcpy(p, lanes, count * sizeof(float));
  }
  void StoreF16(std::uint16_t* p) const {
    auto* h = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(h, _mm256_cvtps_ph(low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(h + 1, _mm256_cvtps_ph(high, _MM_FROUND_TO_NEAREST_INT));
  }
  void StoreF16(std::uint16_t* p, std::size_t count) const {
    std::uint16_t lanes[kLanes];
    StoreF16(lanes);
    __builtin_memcpy(p, lanes, count * sizeof(lanes[0]));
  }

  static Avx2Vec16 Add(Avx2Vec16 a, Avx2Vec16 b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static Avx2Vec16 Sub(Avx2Vec16 a, Avx2Vec16 b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  static Avx2Vec16 Mul(Avx2Vec16 a, Avx2Vec16 b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static Avx2Vec16 Div(Avx2Vec16 a, Avx2Vec16 b) {
    return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
  }
  static Avx2Vec16 Neg(Avx2Vec16 a) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
  }
  static Avx2Vec16 Fma(Avx2Vec16 a, Avx2Vec16 b, Avx2Vec16 c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low),
            _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static Avx2Vec16 Max(Avx2Vec16 a, Avx2Vec16 b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  static Avx2Vec16 Min(Avx2Vec16 a, Avx2Vec16 b) {
    return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
  }
  static Avx2Vec16 Ldexp(Avx2Vec16 x, Avx2Vec16 shifted) {
    return {Ldexp(x.low, shifted.low), Ldexp(x.high, shifted.high)};
  }

  float Sum() const {
    const __m256 eight = _mm256_add_ps(low, high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight),
                                   _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  // Four trees at once: every step adds the same pairs of lanes as Sum.
  static void SumTile(const Avx2Vec16* x, float* sums) {
    const __m256 a = _mm256_add_ps(x[0].low, x[0].high);
    const __m256 b = _mm256_add_ps(x[1].low, x[1].high);
    const __m256 c = _mm256_add_ps(x[2].low, x[2].high);
    const __m256 d = _mm256_add_ps(x[3].low, x[3].high);
    const __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20),
                                    _mm256_permute2f128_ps(a, b, 0x31));
    const __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20),
                                    _mm256_permute2f128_ps(c, d, 0x31));
    const __m256 acbd = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44),
                                      _mm256_shuffle_ps(ab, cd, 0xEE));
    const __m256 pairs = _mm256_hadd_ps(acbd, acbd);  // a c a c | b d b d
    _mm_storeu_ps(sums, _mm_unpacklo_ps(_mm256_castps256_ps128(pairs),
                                        _mm256_extractf128_ps(pairs, 1)));
  }
  float Max() const {
    const __m256 eight = _mm256_max_ps(low, high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight),
                                   _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

 private:
  static __m256 Widen(__m128i bf16) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
  }
  static __m256 Widen8(__m128i int8) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(int8));
  }
  static __m256 PowerOfTwo(__m256i n) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  // In two factors, as in ScalarVec16.
  static __m256 Ldexp(__m256 x, __m256 shifted) {
    const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted),
                                       _mm256_set1_epi32(0x4B400000));
    const __m256i half = _mm256_srai_epi32(n, 1);
    return _mm256_mul_ps(_mm256_mul_ps(x, PowerOfTwo(half)),
                         PowerOfTwo(_mm256_sub_epi32(n, half)));
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_VEC16_AVX2_H_
