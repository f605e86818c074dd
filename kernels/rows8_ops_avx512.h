// The vector operations of rows8_panel.h with AVX-512 F, BW, VL, DQ and VNNI:
// two row groups, one to each half of a register.
#ifndef SLUICE_KERNELS_ROWS8_OPS_AVX512_H_
#define SLUICE_KERNELS_ROWS8_OPS_AVX512_H_

#include "kernels/quant_ops_avx512.h"
#include "kernels/rows8_panel.h"

namespace sluice::kernels {
namespace {

struct Rows8Avx512 : Avx512 {
  // Four bytes of every row.
  static SLUICE_INLINE Reg LoadUnit4(GroupBlockPair blocks, std::size_t at) {
    const std::uint8_t* p = blocks.first + at;
    return _mm512_inserti64x4(_mm512_castsi256_si512(Load256(p)),
                              Load256(p + blocks.second), 1);
  }
  // A binary16 of every row.
  static SLUICE_INLINE Float LoadHalves(GroupBlockPair blocks, std::size_t at) {
    return _mm512_cvtph_ps(LoadUnit2(blocks, at));
  }
  // Two bytes of every row, zeros above.
  static SLUICE_INLINE Reg LoadWords(GroupBlockPair blocks, std::size_t at) {
    return _mm512_cvtepu16_epi32(LoadUnit2(blocks, at));
  }
  // A byte of every row, zeros above.
  static SLUICE_INLINE Reg LoadBytes(GroupBlockPair blocks, std::size_t at) {
    const std::uint8_t* p = blocks.first + at;
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    const __m128i high =
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + blocks.second));
    return _mm512_cvtepu8_epi32(_mm_unpacklo_epi64(low, high));
  }

  // a | (x & mask).
  static SLUICE_INLINE Reg OrMasked(Reg a, Reg x, Reg mask) {
    return _mm512_ternarylogic_epi32(a, x, mask, 0xF8);
  }
  template <int kFactor, std::size_t kCount>
  static SLUICE_INLINE void ScalePairs(Reg (&pairs)[kCount]) {
    for (Reg& pair : pairs) {
      pair = _mm512_mullo_epi16(pair, _mm512_set1_epi16(kFactor));
    }
  }

  // Products of int16, their lower halves.
  static SLUICE_INLINE Reg MulPairs(Reg a, Reg b) {
    return _mm512_mullo_epi16(a, b);
  }

  // start + w . q. Two chains where few tokens leave the latency to hide.
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8Dot(Reg start, const Reg (&w)[kDwords],
                                    const std::byte* q) {
    if constexpr (kTwoChains) return Dot<kMax>(start, w, q);
#pragma GCC unroll 8
    for (int k = 0; k < kDwords; ++k) {
      start = _mm512_dpbusd_epi32(start, w[k], Broadcast(q + 4 * k));
    }
    return start;
  }
  // sum + scale * (w . q). A scale has zeros in its upper half where the dot
  // fits 16 bits (FitsInt16).
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                          Reg scale, const std::byte* q) {
    const Reg dot = Rows8Dot<kMax, kTwoChains>(_mm512_setzero_si512(), w, q);
    if constexpr (FitsInt16(kMax, kDwords)) {
      return _mm512_dpwssd_epi32(sum, dot, scale);
    } else {
      return _mm512_add_epi32(sum, _mm512_mullo_epi32(dot, scale));
    }
  }
  // Byte kByte of every lane, as Rows8ScaledDot wants it.
  template <int kMax, int kDwords, int kByte, bool kSigned>
  static SLUICE_INLINE Reg Rows8Scale(Reg bytes) {
    if constexpr (kSigned && FitsInt16(kMax, kDwords)) {
      const Reg top = _mm512_maskz_shuffle_epi8(
          0x2222222222222222, bytes,
          _mm512_add_epi32(LaneStarts(), Splat32(kByte << 8)));
      return _mm512_srai_epi16(top, 8);
    } else {
      return ScaleFromByte<kByte, kSigned>(bytes);
    }
  }

 private:
  static constexpr bool FitsInt16(int max, int dwords) {
    return max * 127 * 4 * dwords <= 32767;
  }
  static SLUICE_INLINE __m256i Load256(const std::uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static SLUICE_INLINE __m256i LoadUnit2(GroupBlockPair blocks,
                                         std::size_t at) {
    const std::uint8_t* p = blocks.first + at;
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i high =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + blocks.second));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  }
  static SLUICE_INLINE Reg LaneStarts() {
    return _mm512_broadcast_i32x4(
        _mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C));
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_OPS_AVX512_H_
