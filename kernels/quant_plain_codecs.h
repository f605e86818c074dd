// Codecs of the types with blocks of 32, generic over the vector type V: a
// group's blocks to a Panel of biased weights (see quant_panel.h).
//
// kMax is the largest biased weight. Types that need all eight bits (kWide) are
// unpacked signed where V asks for that.
#ifndef SLUICE_KERNELS_QUANT_PLAIN_CODECS_H_
#define SLUICE_KERNELS_QUANT_PLAIN_CODECS_H_

#include "kernels/quant_panel.h"

namespace sluice::kernels {
namespace {

// Low nibbles of four dwords to w[0..3], high nibbles to w[4..7].
template <typename V>
SLUICE_INLINE void SplitNibbles(const typename V::Reg (&packed)[4],
                                typename V::Reg (&w)[8]) {
  const auto mask = V::Splat8(15);
  for (int k = 0; k < 4; ++k) {
    w[k] = V::And(packed[k], mask);
    w[k + 4] = V::And(V::template Srl<4>(packed[k]), mask);
  }
}

// The biased weights of IQ4_NL and IQ4_XS, or signed ones where V asks.
template <typename V>
SLUICE_INLINE typename V::Reg Iq4Table() {
  const auto table = V::Table(kIq4Values);
  return V::kSignedWide ? table : V::Xor(table, V::Splat8(0x80));
}

struct PlainType {
  static constexpr std::size_t kSubBlock = 0;
  static constexpr bool kHasMin = false;
  static constexpr int kBias = 0;
};

template <typename V>
struct PanelQ8_0 : PlainType {
  using Block = BlockQ8_0;
  static constexpr int kMax = kWide;
  static constexpr int kBias = 128;
  static SLUICE_INLINE void Load(RowBlocks blocks, Panel<V>& panel) {
    typename V::Reg head[4];
    typename V::Reg q[4];
    V::LoadColumn(blocks, 0, head);
    panel.d = V::HalfToFloat(head[0]);
    for (std::size_t half = 0; half < 2; ++half) {
      V::LoadColumn(blocks, 2 + 16 * half, q);
      for (std::size_t k = 0; k < 4; ++k) {
        panel.w[4 * half + k] =
            V::kSignedWide ? q[k] : V::Xor(q[k], V::Splat8(0x80));
      }
    }
  }
};

template <typename V>
struct PanelQ4_0 : PlainType {
  using Block = BlockQ4_0;
  static constexpr int kMax = 15;
  static constexpr int kBias = 8;
  static SLUICE_INLINE void Load(RowBlocks blocks, Panel<V>& panel) {
    typename V::Reg head[4];
    typename V::Reg q[4];
    V::LoadColumn(blocks, 0, head);
    panel.d = V::HalfToFloat(head[0]);
    V::LoadColumn(blocks, 2, q);
    SplitNibbles<V>(q, panel.w);
  }
};

template <typename V>
struct PanelQ4_1 : PlainType {
  using Block = BlockQ4_1;
  static constexpr int kMax = 15;
  static constexpr bool kHasMin = true;
  static SLUICE_INLINE void Load(RowBlocks blocks, Panel<V>& panel) {
    typename V::Reg head[4];
    typename V::Reg q[4];
    V::LoadColumn(blocks, 0, head);
    panel.d = V::HalfToFloat(head[0]);
    panel.m = V::HalfToFloat(V::template Srl<16>(head[0]));
    V::LoadColumn(blocks, 4, q);
    SplitNibbles<V>(q, panel.w);
  }
};

// Adds the fifth bits: bit 4 k + i of qh belongs to byte i of w[k].
template <typename V>
SLUICE_INLINE void AddFifthBits(typename V::Reg qh, typename V::Reg (&w)[8]) {
  w[0] = V::Or(w[0], V::template FifthBits<0>(qh));
  w[1] = V::Or(w[1], V::template FifthBits<1>(qh));
  w[2] = V::Or(w[2], V::template FifthBits<2>(qh));
  w[3] = V::Or(w[3], V::template FifthBits<3>(qh));
  w[4] = V::Or(w[4], V::template FifthBits<4>(qh));
  w[5] = V::Or(w[5], V::template FifthBits<5>(qh));
  w[6] = V::Or(w[6], V::template FifthBits<6>(qh));
  w[7] = V::Or(w[7], V::template FifthBits<7>(qh));
}

template <typename V>
struct PanelQ5_0 : PlainType {
  using Block = BlockQ5_0;
  static constexpr int kMax = 31;
  static constexpr int kBias = 16;
  static SLUICE_INLINE void Load(RowBlocks blocks, Panel<V>& panel) {
    typename V::Reg head[4];
    typename V::Reg q[4];
    V::LoadColumn(blocks, 0, head);
    panel.d = V::HalfToFloat(head[0]);
    V::LoadColumn(blocks, 6, q);
    SplitNibbles<V>(q, panel.w);
    AddFifthBits<V>(V::Or(V::template Srl<16>(head[0]),  //
                          V::template Sll<16>(head[1])),
                    panel.w);
  }
};

template <typename V>
struct PanelQ5_1 : PlainType {
  using Block = BlockQ5_1;
  static constexpr int kMax = 31;
  static constexpr bool kHasMin = true;
  static SLUICE_INLINE void Load(RowBlocks blocks, Panel<V>& panel) {
    typename V::Reg head[4];
    typename V::Reg q[4];
    V::LoadColumn(blocks, 0, head);
    panel.d = V::HalfToFloat(head[0]);
    panel.m = V::HalfToFloat(V::template Srl<16>(head[0]));
    V::LoadColumn(blocks, 8, q);
    SplitNibbles<V>(q, panel.w);
    AddFifthBits<V>(head[1], panel.w);
  }
};

template <typename V>
struct PanelIQ4_NL : PlainType {
  using Block = BlockIQ4_NL;
  static constexpr int kMax = kWide;
  static constexpr int kBias = 128;
  static SLUICE_INLINE void Load(RowBlocks blocks, Panel<V>& panel) {
    PanelQ4_0<V>::Load(blocks, panel);
    const auto table = Iq4Table<V>();
    for (int k = 0; k < 8; ++k) panel.w[k] = V::LookUp(table, panel.w[k]);
  }
};

template <typename V>
struct PanelMXFP4 : PlainType {
  using Block = BlockMXFP4;
  static constexpr int kMax = 24;
  static constexpr int kBias = 12;
  static SLUICE_INLINE void Load(RowBlocks blocks, Panel<V>& panel) {
    typename V::Reg head[4];
    typename V::Reg q[4];
    V::LoadColumn(blocks, 0, head);
    panel.d = V::HalvedE8M0(V::And(head[0], V::Splat32(255)));
    V::LoadColumn(blocks, 1, q);
    SplitNibbles<V>(q, panel.w);
    const auto table = V::Add8(V::Table(kMxfp4Values), V::Splat8(kBias));
    for (int k = 0; k < 8; ++k) panel.w[k] = V::LookUp(table, panel.w[k]);
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_PLAIN_CODECS_H_
