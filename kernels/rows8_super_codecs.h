// Codecs of the K types and IQ4_XS in the rows8 layout, generic over the vector
// type V: group blocks to integer sums (see rows8_panel.h).
//
// A codec is constructed from the group blocks, of which it unpacks the scales.
// AddDots adds, sub-block by sub-block, scale * (biased weights . activations)
// to the sums of every token. Pairs gives what the sums of activations are
// multiplied with, as pairs of int16: minima where the type has them, else the
// scales, for taking off the bias.
#ifndef SLUICE_KERNELS_ROWS8_SUPER_CODECS_H_
#define SLUICE_KERNELS_ROWS8_SUPER_CODECS_H_

#include "kernels/quant_super_codecs.h"
#include "kernels/rows8_plain_codecs.h"

namespace sluice::kernels {
namespace {

// Adds sub-block s, whose scale is in registers of four scales as bytes each.
template <typename V, typename Codec, typename Sums, int kDwords>
SLUICE_INLINE void AddSubBlock(Sums& sums, const typename V::Reg* scales,
                               std::size_t s,
                               const typename V::Reg (&w)[kDwords],
                               const std::byte* q, std::size_t stride) {
  constexpr int kMax = Codec::kMax;
  constexpr bool kSigned = Codec::kSignedScales;
  const std::byte* at = q + 4 * kDwords * s;
  const auto bytes = scales[s / 4];
  switch (s % 4) {
    case 0:
      return sums.template Add<kMax>(
          w, V::template Rows8Scale<kMax, kDwords, 0, kSigned>(bytes), at,
          stride);
    case 1:
      return sums.template Add<kMax>(
          w, V::template Rows8Scale<kMax, kDwords, 1, kSigned>(bytes), at,
          stride);
    case 2:
      return sums.template Add<kMax>(
          w, V::template Rows8Scale<kMax, kDwords, 2, kSigned>(bytes), at,
          stride);
    default:
      return sums.template Add<kMax>(
          w, V::template Rows8Scale<kMax, kDwords, 3, kSigned>(bytes), at,
          stride);
  }
}

// Bit `part` of every byte at bit kTo; other bits move along.
template <typename V, int kTo>
SLUICE_INLINE typename V::Reg BitTo(typename V::Reg x, std::size_t part) {
  switch (part) {
    case 0:
      return MoveBits<V, 0, kTo>(x);
    case 1:
      return MoveBits<V, 1, kTo>(x);
    case 2:
      return MoveBits<V, 2, kTo>(x);
    case 3:
      return MoveBits<V, 3, kTo>(x);
    case 4:
      return MoveBits<V, 4, kTo>(x);
    case 5:
      return MoveBits<V, 5, kTo>(x);
    case 6:
      return MoveBits<V, 6, kTo>(x);
    default:
      return MoveBits<V, 7, kTo>(x);
  }
}

// What every codec begins with.
template <typename V, typename FieldsType>
struct SuperType {
  using Fields = FieldsType;
  explicit SLUICE_INLINE SuperType(GroupBlockPair group) : blocks(group) {}
  SLUICE_INLINE typename V::Float D() const {
    return V::LoadHalves(blocks, Fields::kD);
  }
  SLUICE_INLINE typename V::Float Dmin() const {
    return V::LoadHalves(blocks, Fields::kDmin);
  }
  // Vectors `unit` and on of a field of 4-byte units.
  template <int kCount>
  SLUICE_INLINE void Load(std::size_t field, std::size_t unit,
                          typename V::Reg (&out)[kCount]) const {
    LoadUnits<V>(blocks, field + 32 * unit, out);
  }
  GroupBlockPair blocks;
};

template <typename V>
struct Rows8Q2_K : SuperType<V, FieldsQ2_K> {
  using Reg = typename V::Reg;
  static constexpr std::size_t kSubBlock = 16;
  static constexpr bool kHasMin = true;
  static constexpr bool kSignedScales = false;
  static constexpr int kMax = 3;
  static constexpr int kBias = 0;

  explicit SLUICE_INLINE Rows8Q2_K(GroupBlockPair group)
      : SuperType<V, FieldsQ2_K>(group) {
    this->Load(FieldsQ2_K::kScales, 0, packed);
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    Reg scales[4];
    for (int i = 0; i < 4; ++i) scales[i] = V::And(packed[i], V::Splat8(15));
#pragma GCC unroll 4
    for (std::size_t column = 0; column < 4; ++column) {
      Reg bits[4];
      this->Load(FieldsQ2_K::kQs, 4 * column, bits);
#pragma GCC unroll 4
      for (std::size_t part = 0; part < 4; ++part) {
        Reg w[4];
        for (int k = 0; k < 4; ++k) w[k] = TwoBits<V>(bits[k], part);
        const std::size_t s = column / 2 * 8 + 2 * part + column % 2;
        AddSubBlock<V, Rows8Q2_K>(sums, scales, s, w, q, stride);
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
};

template <typename V>
struct Rows8Q3_K : SuperType<V, FieldsQ3_K> {
  using Reg = typename V::Reg;
  static constexpr std::size_t kSubBlock = 16;
  static constexpr bool kHasMin = false;
  static constexpr bool kSignedScales = true;
  static constexpr int kMax = 7;
  static constexpr int kBias = 4;

  explicit SLUICE_INLINE Rows8Q3_K(GroupBlockPair group)
      : SuperType<V, FieldsQ3_K>(group) {
    Reg packed[3];
    this->Load(FieldsQ3_K::kScales, 0, packed);
    for (std::size_t i = 0; i < 4; ++i) {
      const Reg nibbles = i < 2 ? packed[i] : V::template Srl<4>(packed[i - 2]);
      const Reg low = V::And(nibbles, V::Splat8(15));
      const Reg high = V::template Sll<4>(TwoBits<V>(packed[2], i));
      scales[i] = V::Sub8(V::Or(low, high), V::Splat8(32));
    }
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
#pragma GCC unroll 2
    for (std::size_t side = 0; side < 2; ++side) {
      Reg high[4];
      this->Load(FieldsQ3_K::kHmask, 4 * side, high);
#pragma GCC unroll 2
      for (std::size_t half = 0; half < 2; ++half) {
        Reg bits[4];
        this->Load(FieldsQ3_K::kQs, 8 * half + 4 * side, bits);
#pragma GCC unroll 4
        for (std::size_t part = 0; part < 4; ++part) {
          Reg w[4];
          for (int k = 0; k < 4; ++k) {
            w[k] = V::OrMasked(TwoBits<V>(bits[k], part),
                               BitTo<V, 2>(high[k], 4 * half + part),
                               V::Splat8(4));
          }
          const std::size_t s = half * 8 + 2 * part + side;
          AddSubBlock<V, Rows8Q3_K>(sums, scales, s, w, q, stride);
        }
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[8]) const {
    PairsOf<V, true>(scales, pairs);
  }

  Reg scales[4];
};

// Q4_K and Q5_K: they differ in the fifth bit and in where the nibbles are.
template <typename V, typename FieldsType, bool kFifthBit>
struct Rows8Q45_K : SuperType<V, FieldsType> {
  using Reg = typename V::Reg;
  static constexpr std::size_t kSubBlock = 32;
  static constexpr bool kHasMin = true;
  static constexpr bool kSignedScales = false;
  static constexpr int kMax = kFifthBit ? 31 : 15;
  static constexpr int kBias = 0;

  explicit SLUICE_INLINE Rows8Q45_K(GroupBlockPair group)
      : SuperType<V, FieldsType>(group) {
    this->Load(FieldsType::kScales, 0, packed);
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    const Reg low4 = V::Splat8(15);
    const Reg scales[2] = {
        V::And(packed[0], V::Splat8(63)),
        V::OrMasked(V::And(packed[2], low4), V::template Srl<2>(packed[0]),
                    V::Splat8(48))};
#pragma GCC unroll 4
    for (std::size_t chunk = 0; chunk < 4; ++chunk) {
      Reg nibbles[8];
      this->Load(FieldsType::kQs, 8 * chunk, nibbles);
#pragma GCC unroll 2
      for (std::size_t side = 0; side < 2; ++side) {
        const std::size_t s = 2 * chunk + side;
        Reg w[8];
        for (int k = 0; k < 8; ++k) {
          w[k] = V::And(side == 0 ? nibbles[k] : V::template Srl<4>(nibbles[k]),
                        low4);
        }
        if constexpr (kFifthBit) AddFifth(s, w);
        AddSubBlock<V, Rows8Q45_K>(sums, scales, s, w, q, stride);
      }
    }
  }

  SLUICE_INLINE void AddFifth(std::size_t s, Reg (&w)[8]) const {
    Reg high[8];
    this->Load(FieldsType::kQh, 0, high);
    for (int k = 0; k < 8; ++k) {
      w[k] = V::OrMasked(w[k], BitTo<V, 4>(high[k], s), V::Splat8(16));
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const {
    const Reg low4 = V::And(V::template Srl<4>(packed[2]), V::Splat8(15));
    const Reg mins[2] = {
        V::And(packed[1], V::Splat8(63)),
        V::OrMasked(low4, V::template Srl<2>(packed[1]), V::Splat8(48))};
    PairsOf<V, false>(mins, pairs);
  }

  Reg packed[3];
};

template <typename V>
struct Rows8Q4_K : Rows8Q45_K<V, FieldsQ4_K, false> {
  explicit SLUICE_INLINE Rows8Q4_K(GroupBlockPair group)
      : Rows8Q45_K<V, FieldsQ4_K, false>(group) {}
};
template <typename V>
struct Rows8Q5_K : Rows8Q45_K<V, FieldsQ5_K, true> {
  explicit SLUICE_INLINE Rows8Q5_K(GroupBlockPair group)
      : Rows8Q45_K<V, FieldsQ5_K, true>(group) {}
};

template <typename V>
struct Rows8Q6_K : SuperType<V, FieldsQ6_K> {
  using Reg = typename V::Reg;
  static constexpr std::size_t kSubBlock = 16;
  static constexpr bool kHasMin = false;
  static constexpr bool kSignedScales = true;
  static constexpr int kMax = 63;
  static constexpr int kBias = 32;

  explicit SLUICE_INLINE Rows8Q6_K(GroupBlockPair group)
      : SuperType<V, FieldsQ6_K>(group) {
    this->Load(FieldsQ6_K::kScales, 0, scales);
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
#pragma GCC unroll 4
    for (std::size_t column = 0; column < 4; ++column) {
      const std::size_t half = column / 2;
      const std::size_t side = column % 2;
      Reg high[4];
      this->Load(FieldsQ6_K::kQh, 4 * column, high);
#pragma GCC unroll 2
      for (std::size_t odd = 0; odd < 2; ++odd) {
        Reg low[4];
        this->Load(FieldsQ6_K::kQl, 16 * half + 8 * odd + 4 * side, low);
#pragma GCC unroll 2
        for (std::size_t upper = 0; upper < 2; ++upper) {
          const std::size_t part = 2 * upper + odd;
          Reg w[4];
          for (int k = 0; k < 4; ++k) {
            w[k] = V::OrMasked(
                V::And(upper == 0 ? low[k] : V::template Srl<4>(low[k]),
                       V::Splat8(15)),
                BitTo<V, 4>(high[k], 2 * part), V::Splat8(48));
          }
          const std::size_t s = 8 * half + 2 * part + side;
          AddSubBlock<V, Rows8Q6_K>(sums, scales, s, w, q, stride);
        }
      }
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[8]) const {
    PairsOf<V, true>(scales, pairs);
  }

  Reg scales[4];
};

template <typename V>
struct Rows8IQ4_XS : SuperType<V, FieldsIQ4_XS> {
  using Reg = typename V::Reg;
  static constexpr std::size_t kSubBlock = 32;
  static constexpr bool kHasMin = false;
  static constexpr bool kSignedScales = true;
  static constexpr int kMax = kWide;
  static constexpr int kBias = 128;

  explicit SLUICE_INLINE Rows8IQ4_XS(GroupBlockPair group)
      : SuperType<V, FieldsIQ4_XS>(group) {
    // Scale 4 i + j: its nibble is nibble i of byte j, and once the upper half
    // holds bits 2 and up, its top two are bits 4 i and 4 i + 1 of byte j.
    const Reg nibbles = V::LoadUnit4(group, FieldsIQ4_XS::kScalesL);
    const Reg words = V::LoadWords(group, FieldsIQ4_XS::kScalesH);
    const Reg bits = V::Or(words, V::template Sll<14>(words));
    const Reg low4 = V::Splat8(15);
    const Reg top2 = V::Splat8(48);
    const Reg bias = V::Splat8(32);
    scales[0] = V::Sub8(
        V::OrMasked(V::And(nibbles, low4), V::template Sll<4>(bits), top2),
        bias);
    scales[1] = V::Sub8(
        V::OrMasked(V::And(V::template Srl<4>(nibbles), low4), bits, top2),
        bias);
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    const Reg table = Iq4Table<V>();
#pragma GCC unroll 8
    for (std::size_t s = 0; s < 8; ++s) {
      Reg w[8];
      LoadNibbles<V>(this->blocks, FieldsIQ4_XS::kQs + 128 * s, w);
      for (auto& x : w) x = V::LookUp(table, x);
      AddSubBlock<V, Rows8IQ4_XS>(sums, scales, s, w, q, stride);
    }
  }

  SLUICE_INLINE void Pairs(Reg (&pairs)[4]) const {
    PairsOf<V, true>(scales, pairs);
  }

  Reg scales[2];
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_SUPER_CODECS_H_
