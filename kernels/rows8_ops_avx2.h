// The vector operations of rows8_panel.h with AVX2, FMA and F16C: one row
// group. How nothing saturates is told in quant_ops_avx2.h.
#ifndef SLUICE_KERNELS_ROWS8_OPS_AVX2_H_
#define SLUICE_KERNELS_ROWS8_OPS_AVX2_H_

#include "kernels/quant_ops_avx2.h"
#include "kernels/rows8_panel.h"

namespace sluice::kernels {
namespace {

struct Rows8Avx2 : Avx2 {
  // Four bytes of every row.
  static SLUICE_INLINE Reg LoadUnit4(GroupBlockPair blocks, std::size_t at) {
    return _mm256_loadu_si256(
        reinterpret_cast<const __m256i*>(blocks.first + at));
  }
  // A binary16 of every row.
  static SLUICE_INLINE Float LoadHalves(GroupBlockPair blocks, std::size_t at) {
    return _mm256_cvtph_ps(LoadUnit2(blocks, at));
  }
  // Two bytes of every row, zeros above.
  static SLUICE_INLINE Reg LoadWords(GroupBlockPair blocks, std::size_t at) {
    return _mm256_cvtepu16_epi32(LoadUnit2(blocks, at));
  }
  // A byte of every row, zeros above.
  static SLUICE_INLINE Reg LoadBytes(GroupBlockPair blocks, std::size_t at) {
    return _mm256_cvtepu8_epi32(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(blocks.first + at)));
  }

  // a | (x & mask).
  static SLUICE_INLINE Reg OrMasked(Reg a, Reg x, Reg mask) {
    return _mm256_or_si256(a, _mm256_and_si256(x, mask));
  }
  template <int kFactor, std::size_t kCount>
  static SLUICE_INLINE void ScalePairs(Reg (&pairs)[kCount]) {
    for (Reg& pair : pairs) {
      pair = _mm256_mullo_epi16(pair, _mm256_set1_epi16(kFactor));
    }
  }

  // Products of int16, their lower halves.
  static SLUICE_INLINE Reg MulPairs(Reg a, Reg b) {
    return _mm256_mullo_epi16(a, b);
  }

  // start + w . q. There is no chain of additions to split.
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8Dot(Reg start, const Reg (&w)[kDwords],
                                    const std::byte* q) {
    return Dot<kMax>(start, w, q);
  }
  // sum + scale * (w . q), scale as pairs of equal int16.
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                          Reg scale, const std::byte* q) {
    return ScaledDot<kMax>(sum, w, scale, q);
  }
  // Byte kByte of every lane, as Rows8ScaledDot wants it.
  template <int kMax, int kDwords, int kByte, bool kSigned>
  static SLUICE_INLINE Reg Rows8Scale(Reg bytes) {
    return ScaleFromByte<kByte, kSigned>(bytes);
  }

 private:
  static SLUICE_INLINE __m128i LoadUnit2(GroupBlockPair blocks,
                                         std::size_t at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks.first + at));
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_OPS_AVX2_H_
