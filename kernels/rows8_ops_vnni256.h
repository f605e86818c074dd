// The vector operations of rows8_panel.h with AVX-512 VL, BW and VNNI on
// registers of one row group. A single token is bound by memory, which is read
// faster as one stream than as the two of Rows8Avx512.
#ifndef SLUICE_KERNELS_ROWS8_OPS_VNNI256_H_
#define SLUICE_KERNELS_ROWS8_OPS_VNNI256_H_

#include "kernels/rows8_ops_avx2.h"

namespace sluice::kernels {
namespace {

struct Rows8Vnni256 : Rows8Avx2 {
  static constexpr bool kSignedWide = false;

  // a | (x & mask).
  static SLUICE_INLINE Reg OrMasked(Reg a, Reg x, Reg mask) {
    return _mm256_ternarylogic_epi32(a, x, mask, 0xF8);
  }
  // sum + the products of pairs.
  static SLUICE_INLINE Reg AddPairs(Reg sum, Reg a, Reg b) {
    return _mm256_dpwssd_epi32(sum, a, b);
  }

  // start + w . q, in two chains.
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8Dot(Reg start, const Reg (&w)[kDwords],
                                    const std::byte* q) {
    static_assert(kTwoChains);
    Reg odd = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int k = 0; k < kDwords; k += 2) {
      start = _mm256_dpbusd_epi32(start, w[k], Broadcast(q + 4 * k));
      odd = _mm256_dpbusd_epi32(odd, w[k + 1], Broadcast(q + 4 * k + 4));
    }
    return _mm256_add_epi32(start, odd);
  }
  // sum + scale * (w . q).
  template <int kMax, bool kTwoChains, int kDwords>
  static SLUICE_INLINE Reg Rows8ScaledDot(Reg sum, const Reg (&w)[kDwords],
                                          Reg scale, const std::byte* q) {
    const Reg dot = Rows8Dot<kMax, kTwoChains>(_mm256_setzero_si256(), w, q);
    return _mm256_add_epi32(sum, _mm256_mullo_epi32(dot, scale));
  }
  // Byte kByte of every lane, as Rows8ScaledDot wants it.
  template <int kMax, int kDwords, int kByte, bool kSigned>
  static SLUICE_INLINE Reg Rows8Scale(Reg bytes) {
    const Reg top = _mm256_slli_epi32(bytes, 24 - 8 * kByte);
    return kSigned ? _mm256_srai_epi32(top, 24) : _mm256_srli_epi32(top, 24);
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_OPS_VNNI256_H_
