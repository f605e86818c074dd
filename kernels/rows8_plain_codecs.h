// Codecs of the types with blocks of 32 in the rows8 layout, generic over the
// vector type V: group blocks to a Panel of biased weights (see quant_panel.h).
//
// kMax is the largest biased weight. Types that need all eight bits (kWide) are
// unpacked signed where V asks for that.
#ifndef SLUICE_KERNELS_ROWS8_PLAIN_CODECS_H_
#define SLUICE_KERNELS_ROWS8_PLAIN_CODECS_H_

#include "kernels/quant_plain_codecs.h"
#include "kernels/rows8_panel.h"

namespace sluice::kernels {
namespace {

// kCount vectors of four bytes of every row.
template <typename V, int kCount>
SLUICE_INLINE void LoadUnits(GroupBlockPair blocks, std::size_t at,
                             typename V::Reg (&out)[kCount]) {
  for (int k = 0; k < kCount; ++k) {
    out[k] = V::LoadUnit4(blocks, at + 32 * static_cast<std::size_t>(k));
  }
}

// Bits kFrom and up moved to kTo and up; other bits move along.
template <typename V, int kFrom, int kTo>
SLUICE_INLINE typename V::Reg MoveBits(typename V::Reg x) {
  if constexpr (kFrom > kTo) {
    return V::template Srl<kFrom - kTo>(x);
  } else if constexpr (kFrom < kTo) {
    return V::template Sll<kTo - kFrom>(x);
  } else {
    return x;
  }
}

// The nibbles at qs: low ones of dword k to w[k], high ones to w[k + 4].
template <typename V>
SLUICE_INLINE void LoadNibbles(GroupBlockPair blocks, std::size_t qs,
                               typename V::Reg (&w)[8]) {
  typename V::Reg packed[4];
  LoadUnits<V>(blocks, qs, packed);
  SplitNibbles<V>(packed, w);
}

// Adds the fifth bits of a 32-weight block: those of w[k] are bit k of the
// bytes.
template <typename V>
SLUICE_INLINE void AddFifths(typename V::Reg qh, typename V::Reg (&w)[8]) {
  const auto bit = V::Splat8(16);
  w[0] = V::OrMasked(w[0], MoveBits<V, 0, 4>(qh), bit);
  w[1] = V::OrMasked(w[1], MoveBits<V, 1, 4>(qh), bit);
  w[2] = V::OrMasked(w[2], MoveBits<V, 2, 4>(qh), bit);
  w[3] = V::OrMasked(w[3], MoveBits<V, 3, 4>(qh), bit);
  w[4] = V::OrMasked(w[4], MoveBits<V, 4, 4>(qh), bit);
  w[5] = V::OrMasked(w[5], MoveBits<V, 5, 4>(qh), bit);
  w[6] = V::OrMasked(w[6], MoveBits<V, 6, 4>(qh), bit);
  w[7] = V::OrMasked(w[7], MoveBits<V, 7, 4>(qh), bit);
}

template <typename V>
struct Rows8Q8_0 : PlainType {
  using Fields = FieldsQ8_0;
  static constexpr int kMax = kWide;
  static constexpr int kBias = 128;
  static SLUICE_INLINE void Load(GroupBlockPair blocks, Panel<V>& panel) {
    panel.d = V::LoadHalves(blocks, Fields::kD);
    LoadUnits<V>(blocks, Fields::kQs, panel.w);
    if constexpr (!V::kSignedWide) {
      for (auto& w : panel.w) w = V::Xor(w, V::Splat8(0x80));
    }
  }
};

template <typename V>
struct Rows8Q4_0 : PlainType {
  using Fields = FieldsQ4_0;
  static constexpr int kMax = 15;
  static constexpr int kBias = 8;
  static SLUICE_INLINE void Load(GroupBlockPair blocks, Panel<V>& panel) {
    panel.d = V::LoadHalves(blocks, Fields::kD);
    LoadNibbles<V>(blocks, Fields::kQs, panel.w);
  }
};

template <typename V>
struct Rows8Q4_1 : PlainType {
  using Fields = FieldsQ4_1;
  static constexpr int kMax = 15;
  static constexpr bool kHasMin = true;
  static SLUICE_INLINE void Load(GroupBlockPair blocks, Panel<V>& panel) {
    panel.d = V::LoadHalves(blocks, Fields::kD);
    panel.m = V::LoadHalves(blocks, Fields::kM);
    LoadNibbles<V>(blocks, Fields::kQs, panel.w);
  }
};

template <typename V>
struct Rows8Q5_0 : PlainType {
  using Fields = FieldsQ5_0;
  static constexpr int kMax = 31;
  static constexpr int kBias = 16;
  static SLUICE_INLINE void Load(GroupBlockPair blocks, Panel<V>& panel) {
    panel.d = V::LoadHalves(blocks, Fields::kD);
    LoadNibbles<V>(blocks, Fields::kQs, panel.w);
    AddFifths<V>(V::LoadUnit4(blocks, Fields::kQh), panel.w);
  }
};

template <typename V>
struct Rows8Q5_1 : PlainType {
  using Fields = FieldsQ5_1;
  static constexpr int kMax = 31;
  static constexpr bool kHasMin = true;
  static SLUICE_INLINE void Load(GroupBlockPair blocks, Panel<V>& panel) {
    panel.d = V::LoadHalves(blocks, Fields::kD);
    panel.m = V::LoadHalves(blocks, Fields::kM);
    LoadNibbles<V>(blocks, Fields::kQs, panel.w);
    AddFifths<V>(V::LoadUnit4(blocks, Fields::kQh), panel.w);
  }
};

template <typename V>
struct Rows8IQ4_NL : PlainType {
  using Fields = FieldsIQ4_NL;
  static constexpr int kMax = kWide;
  static constexpr int kBias = 128;
  static SLUICE_INLINE void Load(GroupBlockPair blocks, Panel<V>& panel) {
    panel.d = V::LoadHalves(blocks, Fields::kD);
    LoadNibbles<V>(blocks, Fields::kQs, panel.w);
    const auto table = Iq4Table<V>();
    for (auto& w : panel.w) w = V::LookUp(table, w);
  }
};

template <typename V>
struct Rows8MXFP4 : PlainType {
  using Fields = FieldsMXFP4;
  static constexpr int kMax = 28;
  static constexpr int kBias = 16;
  static SLUICE_INLINE void Load(GroupBlockPair blocks, Panel<V>& panel) {
    panel.d = V::HalvedE8M0(V::LoadBytes(blocks, Fields::kE));
    LoadNibbles<V>(blocks, Fields::kQs, panel.w);
    const auto table = V::Add8(V::Table(kMxfp4Values), V::Splat8(kBias));
    for (auto& w : panel.w) w = V::LookUp(table, w);
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_PLAIN_CODECS_H_
