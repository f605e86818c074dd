// Codecs of the ternary types in both layouts, generic over the vector type V,
// as those of quant_super_codecs.h and rows8_super_codecs.h: eight sub-blocks
// of 32 weights, all with the scale 1.
#ifndef SLUICE_KERNELS_QUANT_TERNARY_CODECS_H_
#define SLUICE_KERNELS_QUANT_TERNARY_CODECS_H_

#include "kernels/quant_super_codecs.h"
#include "kernels/rows8_super_codecs.h"

namespace sluice::kernels {
namespace {

// What both types and layouts have in common.
template <typename V, int kLargest>
struct TernaryType {
  using Reg = typename V::Reg;
  static constexpr std::size_t kSubBlock = 32;
  static constexpr bool kHasMin = false;
  static constexpr bool kSignedScales = false;
  static constexpr int kMax = kLargest;
  static constexpr int kBias = 1;

  static SLUICE_INLINE void OnePairs(Reg (&pairs)[4]) {
    const Reg ones[2] = {V::Splat8(1), V::Splat8(1)};
    PairsOf<V, false>(ones, pairs);
  }
};

// Digit 0 of bytes that are fractions in base 3, and the bytes without it.
template <typename V>
SLUICE_INLINE typename V::Reg TopTrit(typename V::Reg x) {
  // The carries of 3 x over eight bits.
  return V::Add8(V::template Above<85>(x), V::template Above<170>(x));
}
template <typename V>
SLUICE_INLINE typename V::Reg NextTrit(typename V::Reg x) {
  return V::Add8(x, V::Add8(x, x));
}

// TQ1_0: 32 bytes with weights 32 n + i in digit n of byte i, n < 5; 16 bytes
// with weights 160 + 16 n + i; four, in `last`, with weights 240 + 4 n + i,
// n < 4. `add(s, w)` takes the weights of sub-block s.
template <typename V, typename AddFn>
SLUICE_INLINE void ForTrits(typename V::Reg (&first)[8],
                            typename V::Reg (&second)[4], typename V::Reg last,
                            AddFn add) {
  typename V::Reg w[8];
#pragma GCC unroll 5
  for (std::size_t n = 0; n < 5; ++n) {
    for (int k = 0; k < 8; ++k) {
      w[k] = TopTrit<V>(first[k]);
      first[k] = NextTrit<V>(first[k]);
    }
    add(n, w);
  }
#pragma GCC unroll 5
  for (std::size_t n = 0; n < 5; ++n) {
    for (std::size_t k = 0; k < 4; ++k) {
      w[n % 2 * 4 + k] = TopTrit<V>(second[k]);
      second[k] = NextTrit<V>(second[k]);
    }
    if (n % 2 == 1) add(5 + n / 2, w);
  }
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) {
    w[4 + n] = TopTrit<V>(last);
    last = NextTrit<V>(last);
  }
  add(std::size_t{7}, w);
}

template <typename V>
struct PanelTQ1_0 : TernaryType<V, 2> {
  using Reg = typename V::Reg;
  using Block = BlockTQ1_0;

  explicit SLUICE_INLINE PanelTQ1_0(RowBlocks blocks) {
    // Ten bytes of weights, four with the last ones, d.
    Reg tail[4];
    V::LoadColumn(blocks, sizeof(Block) - 16, tail);
    last = V::Or(V::template Srl<16>(tail[2]), V::template Sll<16>(tail[3]));
    d = V::HalfToFloat(V::template Srl<16>(tail[3]));
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(RowBlocks blocks, Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    Reg first[8];
    Reg second[4];
    PanelQ4_K<V>::LoadColumns(blocks, 0, first);
    V::LoadColumn(blocks, 32, second);
    const Reg ones[1] = {V::Splat8(1)};
    ForTrits<V>(first, second, last,
                [&](std::size_t s, const Reg(&w)[8])
                    __attribute__((always_inline)) {
                      sums.template Add<2>(w, ScaleOf<V, false>(ones, 0),
                                           q + 32 * s, stride);
                    });
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const { this->OnePairs(pairs); }

  Reg last;
  typename V::Float d;
};

template <typename V>
struct PanelTQ2_0 : TernaryType<V, 3> {
  using Reg = typename V::Reg;
  using Block = BlockTQ2_0;

  explicit SLUICE_INLINE PanelTQ2_0(RowBlocks blocks) {
    Reg tail[4];
    V::LoadColumn(blocks, sizeof(Block) - 16, tail);
    d = V::HalfToFloat(V::template Srl<16>(tail[3]));
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(RowBlocks blocks, Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    const Reg ones[1] = {V::Splat8(1)};
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      Reg bits[8];
      PanelQ4_K<V>::LoadColumns(blocks, 32 * half, bits);
#pragma GCC unroll 4
      for (std::size_t part = 0; part < 4; ++part) {
        Reg w[8];
        for (int k = 0; k < 8; ++k) w[k] = TwoBits<V>(bits[k], part);
        sums.template Add<3>(w, ScaleOf<V, false>(ones, 0),
                             q + 32 * (4 * half + part), stride);
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const { this->OnePairs(pairs); }

  typename V::Float d;
};

template <typename V>
struct Rows8TQ1_0 : SuperType<V, FieldsTQ1_0>, TernaryType<V, 2> {
  using Reg = typename V::Reg;
  using SuperType<V, FieldsTQ1_0>::SuperType;

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    Reg first[8];
    Reg second[4];
    this->Load(FieldsTQ1_0::kQs, 0, first);
    this->Load(FieldsTQ1_0::kQs, 8, second);
    const Reg last = V::LoadUnit4(this->blocks, FieldsTQ1_0::kQh);
    const Reg ones[2] = {V::Splat8(1), V::Splat8(1)};
    ForTrits<V>(first, second, last,
                [&](std::size_t s, const Reg(&w)[8])
                    __attribute__((always_inline)) {
                      AddSubBlock<V, Rows8TQ1_0>(sums, ones, s, w, q, stride);
                    });
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const { this->OnePairs(pairs); }
};

template <typename V>
struct Rows8TQ2_0 : SuperType<V, FieldsTQ2_0>, TernaryType<V, 3> {
  using Reg = typename V::Reg;
  using SuperType<V, FieldsTQ2_0>::SuperType;

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    const Reg ones[2] = {V::Splat8(1), V::Splat8(1)};
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      Reg bits[8];
      this->Load(FieldsTQ2_0::kQs, 8 * half, bits);
#pragma GCC unroll 4
      for (std::size_t part = 0; part < 4; ++part) {
        Reg w[8];
        for (int k = 0; k < 8; ++k) w[k] = TwoBits<V>(bits[k], part);
        AddSubBlock<V, Rows8TQ2_0>(sums, ones, 4 * half + part, w, q, stride);
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const { this->OnePairs(pairs); }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_TERNARY_CODECS_H_
