// Codecs of the K types and IQ4_XS, generic over the vector type V: a group's
// superblocks to integer sums (see quant_panel.h).
//
// A codec is constructed from the headers of the group's superblocks. AddDots
// adds, sub-block by sub-block, scale * (biased weights . activations) to the
// sums of every token. Pairs gives what the sums of activations are multiplied
// with, as pairs of int16: minima where the type has them, else the scales, for
// taking off the bias.
#ifndef SLUICE_KERNELS_QUANT_SUPER_CODECS_H_
#define SLUICE_KERNELS_QUANT_SUPER_CODECS_H_

#include "kernels/quant_panel.h"
#include "kernels/quant_plain_codecs.h"

namespace sluice::kernels {
namespace {

// Sub-block s's scale, from registers of four scales as bytes each.
template <typename V, bool kSigned, std::size_t kScales>
SLUICE_INLINE typename V::Reg ScaleOf(const typename V::Reg (&bytes)[kScales],
                                      std::size_t s) {
  switch (s % 4) {
    case 0:
      return V::template ScaleFromByte<0, kSigned>(bytes[s / 4]);
    case 1:
      return V::template ScaleFromByte<1, kSigned>(bytes[s / 4]);
    case 2:
      return V::template ScaleFromByte<2, kSigned>(bytes[s / 4]);
    default:
      return V::template ScaleFromByte<3, kSigned>(bytes[s / 4]);
  }
}

template <typename V, bool kSigned, std::size_t kScales>
SLUICE_INLINE void PairsOf(const typename V::Reg (&bytes)[kScales],
                           typename V::Reg (&pairs)[2 * kScales]) {
  for (std::size_t i = 0; i < kScales; ++i) {
    pairs[2 * i] = V::template PairFromBytes<0, kSigned>(bytes[i]);
    pairs[2 * i + 1] = V::template PairFromBytes<2, kSigned>(bytes[i]);
  }
}

// Bits 2 part, 2 part + 1 of every byte, for part < 4, as bits 0 and 1.
template <typename V>
SLUICE_INLINE typename V::Reg TwoBits(typename V::Reg x, std::size_t part) {
  const auto mask = V::Splat8(3);
  switch (part) {
    case 0:
      return V::And(x, mask);
    case 1:
      return V::And(V::template Srl<2>(x), mask);
    case 2:
      return V::And(V::template Srl<4>(x), mask);
    default:
      return V::And(V::template Srl<6>(x), mask);
  }
}

template <typename V>
struct PanelQ2_K {
  using Reg = typename V::Reg;
  using Block = BlockQ2_K;
  static constexpr std::size_t kSubBlock = 16;
  static constexpr bool kHasMin = true;
  static constexpr int kMax = 3;
  static constexpr int kBias = 0;

  explicit SLUICE_INLINE PanelQ2_K(RowBlocks blocks) {
    V::LoadColumn(blocks, 0, packed);
    Reg tail[4];
    V::LoadColumn(blocks, sizeof(Block) - 16, tail);
    d = V::HalfToFloat(tail[3]);
    dmin = V::HalfToFloat(V::template Srl<16>(tail[3]));
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(RowBlocks blocks, Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    Reg scales[4];
    for (int i = 0; i < 4; ++i) scales[i] = V::And(packed[i], V::Splat8(15));
#pragma GCC unroll 4
    for (std::size_t column = 0; column < 4; ++column) {
      Reg bits[4];
      V::LoadColumn(blocks, 16 + 16 * column, bits);
#pragma GCC unroll 4
      for (std::size_t part = 0; part < 4; ++part) {
        Reg w[4];
        for (int k = 0; k < 4; ++k) w[k] = TwoBits<V>(bits[k], part);
        const std::size_t s = column / 2 * 8 + 2 * part + column % 2;
        sums.template Add<kMax>(w, ScaleOf<V, false>(scales, s), q + 16 * s,
                                stride);
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[8]) const {
    Reg mins[4];
    for (int i = 0; i < 4; ++i) {
      mins[i] = V::And(V::template Srl<4>(packed[i]), V::Splat8(15));
    }
    PairsOf<V, false>(mins, pairs);
  }

  Reg packed[4];
  typename V::Float d;
  typename V::Float dmin;
};

template <typename V>
struct PanelQ3_K {
  using Reg = typename V::Reg;
  using Block = BlockQ3_K;
  static constexpr std::size_t kSubBlock = 16;
  static constexpr bool kHasMin = false;
  static constexpr int kMax = 7;
  static constexpr int kBias = 4;

  explicit SLUICE_INLINE PanelQ3_K(RowBlocks blocks) {
    // Two bytes of weights, twelve of scales, d.
    Reg tail[4];
    V::LoadColumn(blocks, sizeof(Block) - 16, tail);
    d = V::HalfToFloat(V::template Srl<16>(tail[3]));
    Reg packed[3];
    for (int i = 0; i < 3; ++i) {
      packed[i] =
          V::Or(V::template Srl<16>(tail[i]), V::template Sll<16>(tail[i + 1]));
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const Reg nibbles = i < 2 ? packed[i] : V::template Srl<4>(packed[i - 2]);
      const Reg high = V::template Sll<4>(TwoBits<V>(packed[2], i));
      scales[i] =
          V::Sub8(V::Or(V::And(nibbles, V::Splat8(15)), high), V::Splat8(32));
    }
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(RowBlocks blocks, Sums& sums, const std::byte* q,
                             std::size_t stride) const {
#pragma GCC unroll 2
    for (std::size_t side = 0; side < 2; ++side) {
      Reg high[4];
      V::LoadColumn(blocks, 16 * side, high);
#pragma GCC unroll 2
      for (std::size_t half = 0; half < 2; ++half) {
        Reg bits[4];
        V::LoadColumn(blocks, 32 + 32 * half + 16 * side, bits);
#pragma GCC unroll 4
        for (std::size_t part = 0; part < 4; ++part) {
          Reg w[4];
          for (int k = 0; k < 4; ++k) {
            w[k] = V::Or(TwoBits<V>(bits[k], part),
                         V::template Sll<2>(V::And(high[k], V::Splat8(1))));
            high[k] = V::template Srl<1>(high[k]);
          }
          const std::size_t s = half * 8 + 2 * part + side;
          sums.template Add<kMax>(w, ScaleOf<V, true>(scales, s), q + 16 * s,
                                  stride);
        }
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[8]) const {
    PairsOf<V, true>(scales, pairs);
  }

  Reg scales[4];
  typename V::Float d;
};

// Q4_K and Q5_K: they differ in the fifth bit and in where the nibbles are.
template <typename V, typename BlockType, bool kFifthBit>
struct PanelQ45_K {
  using Reg = typename V::Reg;
  using Block = BlockType;
  static constexpr std::size_t kSubBlock = 32;
  static constexpr bool kHasMin = true;
  static constexpr int kMax = kFifthBit ? 31 : 15;
  static constexpr int kBias = 0;

  explicit SLUICE_INLINE PanelQ45_K(RowBlocks blocks) {
    Reg head[4];
    V::LoadColumn(blocks, 0, head);
    d = V::HalfToFloat(head[0]);
    dmin = V::HalfToFloat(V::template Srl<16>(head[0]));
    const Reg low6 = V::Splat8(63);
    const Reg low4 = V::Splat8(15);
    const Reg top2 = V::Splat8(48);
    scales[0] = V::And(head[1], low6);
    mins[0] = V::And(head[2], low6);
    scales[1] =
        V::Or(V::And(head[3], low4), V::And(V::template Srl<2>(head[1]), top2));
    mins[1] = V::Or(V::And(V::template Srl<4>(head[3]), low4),
                    V::And(V::template Srl<2>(head[2]), top2));
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(RowBlocks blocks, Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    Reg high[8];
    if constexpr (kFifthBit) LoadColumns(blocks, 16, high);
#pragma GCC unroll 4
    for (std::size_t chunk = 0; chunk < 4; ++chunk) {
      Reg packed[8];
      LoadColumns(blocks, (kFifthBit ? 48 : 16) + 32 * chunk, packed);
#pragma GCC unroll 2
      for (std::size_t side = 0; side < 2; ++side) {
        const std::size_t s = 2 * chunk + side;
        Reg w[8];
        for (int k = 0; k < 8; ++k) {
          w[k] = V::And(side == 0 ? packed[k] : V::template Srl<4>(packed[k]),
                        V::Splat8(15));
          if constexpr (kFifthBit) {
            w[k] =
                V::Or(w[k], V::template Sll<4>(V::And(high[k], V::Splat8(1))));
            high[k] = V::template Srl<1>(high[k]);
          }
        }
        sums.template Add<kMax>(w, ScaleOf<V, false>(scales, s), q + 32 * s,
                                stride);
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const {
    PairsOf<V, false>(mins, pairs);
  }

  // 32 bytes of each row.
  static SLUICE_INLINE void LoadColumns(RowBlocks blocks, std::size_t at,
                                        Reg (&out)[8]) {
    Reg column[4];
    V::LoadColumn(blocks, at, column);
    for (int k = 0; k < 4; ++k) out[k] = column[k];
    V::LoadColumn(blocks, at + 16, column);
    for (int k = 0; k < 4; ++k) out[k + 4] = column[k];
  }

  Reg scales[2];
  Reg mins[2];
  typename V::Float d;
  typename V::Float dmin;
};

template <typename V>
using PanelQ4_K = PanelQ45_K<V, BlockQ4_K, false>;
template <typename V>
using PanelQ5_K = PanelQ45_K<V, BlockQ5_K, true>;

template <typename V>
struct PanelQ6_K {
  using Reg = typename V::Reg;
  using Block = BlockQ6_K;
  static constexpr std::size_t kSubBlock = 16;
  static constexpr bool kHasMin = false;
  static constexpr int kMax = 63;
  static constexpr int kBias = 32;

  explicit SLUICE_INLINE PanelQ6_K(RowBlocks blocks) {
    Reg tail[4];
    V::LoadColumn(blocks, sizeof(Block) - 16, tail);
    d = V::HalfToFloat(V::template Srl<16>(tail[3]));
    V::LoadColumn(blocks, 192, scales);
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(RowBlocks blocks, Sums& sums, const std::byte* q,
                             std::size_t stride) const {
#pragma GCC unroll 4
    for (std::size_t column = 0; column < 4; ++column) {
      const std::size_t half = column / 2;
      const std::size_t side = column % 2;
      Reg high[4];
      V::LoadColumn(blocks, 128 + 16 * column, high);
#pragma GCC unroll 2
      for (std::size_t odd = 0; odd < 2; ++odd) {
        Reg low[4];
        V::LoadColumn(blocks, 64 * half + 32 * odd + 16 * side, low);
#pragma GCC unroll 2
        for (std::size_t upper = 0; upper < 2; ++upper) {
          Reg w[4];
          const std::size_t part = 2 * upper + odd;
          for (int k = 0; k < 4; ++k) {
            w[k] =
                V::Or(V::And(upper == 0 ? low[k] : V::template Srl<4>(low[k]),
                             V::Splat8(15)),
                      V::template Sll<4>(TwoBits<V>(high[k], part)));
          }
          const std::size_t s = 8 * half + 2 * part + side;
          sums.template Add<kMax>(w, ScaleOf<V, true>(scales, s), q + 16 * s,
                                  stride);
        }
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[8]) const {
    PairsOf<V, true>(scales, pairs);
  }

  Reg scales[4];
  typename V::Float d;
};

template <typename V>
struct PanelIQ4_XS {
  using Reg = typename V::Reg;
  using Block = BlockIQ4_XS;
  static constexpr std::size_t kSubBlock = 32;
  static constexpr bool kHasMin = false;
  static constexpr int kMax = kWide;
  static constexpr int kBias = 128;

  explicit SLUICE_INLINE PanelIQ4_XS(RowBlocks blocks) {
    Reg head[4];
    V::LoadColumn(blocks, 0, head);
    d = V::HalfToFloat(head[0]);
    // Two bits of every scale in head[0] above d, four in head[1], spread to
    // one scale a byte.
    const Reg high = V::template Srl<16>(head[0]);
    scales[0] = Combine(head[1], high);
    scales[1] = Combine(V::template Srl<16>(head[1]), V::template Srl<8>(high));
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(RowBlocks blocks, Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    const Reg table = Iq4Table<V>();
#pragma GCC unroll 8
    for (std::size_t s = 0; s < 8; ++s) {
      Reg packed[4];
      Reg w[8];
      V::LoadColumn(blocks, 8 + 16 * s, packed);
      SplitNibbles<V>(packed, w);
      for (Reg& lane : w) lane = V::LookUp(table, lane);
      sums.template Add<kMax>(w, ScaleOf<V, true>(scales, s), q + 32 * s,
                              stride);
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const {
    PairsOf<V, true>(scales, pairs);
  }

  // Four nibbles and four pairs of bits, lowest first, to four scales.
  static SLUICE_INLINE Reg Combine(Reg nibbles, Reg bits) {
    Reg low = V::And(nibbles, V::Splat32(15));
    Reg high = V::And(bits, V::Splat32(3));
    low = V::Or(low, V::And(V::template Sll<4>(nibbles), V::Splat32(15 << 8)));
    high = V::Or(high, V::And(V::template Sll<6>(bits), V::Splat32(3 << 8)));
    low = V::Or(low, V::And(V::template Sll<8>(nibbles), V::Splat32(15 << 16)));
    high = V::Or(high, V::And(V::template Sll<12>(bits), V::Splat32(3 << 16)));
    low =
        V::Or(low, V::And(V::template Sll<12>(nibbles), V::Splat32(15 << 24)));
    high = V::Or(high, V::And(V::template Sll<18>(bits), V::Splat32(3 << 24)));
    return V::Sub8(V::Or(low, V::template Sll<4>(high)), V::Splat8(32));
  }

  Reg scales[2];
  typename V::Float d;
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_SUPER_CODECS_H_
