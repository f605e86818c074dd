// Codecs of nested weights (kernels/planes.h) in the rows8 layout, generic over
// the vector type V: the base plane alone, and both planes. The levels are
// integers with a step that goes into the scales: 8 or 2 times the code, and a
// shift of each sub-block, which Pairs takes off like a bias.
#ifndef SLUICE_KERNELS_ROWS8_PLANE_CODECS_H_
#define SLUICE_KERNELS_ROWS8_PLANE_CODECS_H_

#include "kernels/rows8_super_codecs.h"

namespace sluice::kernels {
namespace {

// What both levels share: kStep and kCentre are those of the specification,
// level = s * (step * code + m - centre).
template <typename V, int kStepBits, int kCentre>
struct PlaneLevel : SuperType<V, FieldsPlane2> {
  using Reg = typename V::Reg;
  static constexpr std::size_t kSubBlock = 16;
  static constexpr bool kHasMin = false;
  static constexpr bool kSignedScales = false;
  // Of what Pairs gives.
  static constexpr int kBias = 1;

  explicit SLUICE_INLINE PlaneLevel(GroupBlockPair group)
      : SuperType<V, FieldsPlane2>(group) {
    this->Load(FieldsPlane2::kScales, 0, packed);
  }

  // s times the step.
  SLUICE_INLINE void Scales(Reg (&scales)[4]) const {
    for (int i = 0; i < 4; ++i) {
      scales[i] = V::And(V::template Sll<kStepBits>(packed[i]),
                         V::Splat8(15 << kStepBits));
    }
  }

  // s * (centre - m).
  SLUICE_INLINE void Pairs(Reg (&pairs)[8]) const {
    Reg scales[4];
    Reg shifts[4];
    for (int i = 0; i < 4; ++i) {
      scales[i] = V::And(packed[i], V::Splat8(15));
      shifts[i] = V::Sub8(V::Splat8(kCentre),
                          V::And(V::template Srl<4>(packed[i]), V::Splat8(15)));
    }
    Reg factors[8];
    PairsOf<V, false>(scales, pairs);
    PairsOf<V, true>(shifts, factors);
    for (int i = 0; i < 8; ++i) pairs[i] = V::MulPairs(pairs[i], factors[i]);
  }

  Reg packed[4];
};

template <typename V>
struct Rows8Plane2 : PlaneLevel<V, 3, 19> {
  using Reg = typename V::Reg;
  static constexpr int kMax = 3;

  explicit SLUICE_INLINE Rows8Plane2(GroupBlockPair group)
      : PlaneLevel<V, 3, 19>(group) {}

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    Reg scales[4];
    this->Scales(scales);
#pragma GCC unroll 4
    for (std::size_t column = 0; column < 4; ++column) {
      Reg bits[4];
      this->Load(FieldsPlane2::kQs, 4 * column, bits);
#pragma GCC unroll 4
      for (std::size_t part = 0; part < 4; ++part) {
        Reg w[4];
        for (int k = 0; k < 4; ++k) w[k] = TwoBits<V>(bits[k], part);
        const std::size_t s = column / 2 * 8 + 2 * part + column % 2;
        AddSubBlock<V, Rows8Plane2>(sums, scales, s, w, q, stride);
      }
    }
  }
};

// The group blocks of both planes at one block column.
struct PlanePair {
  GroupBlockPair base;
  GroupBlockPair residual;
};

// As GroupCursor, through both planes.
template <typename V>
class PlaneCursor {
 public:
  SLUICE_INLINE PlaneCursor(const MatmulArgs& args, const TilePlace& place)
      : base_(args, place), residual_(ResidualOf(args), place) {}
  SLUICE_INLINE PlanePair Next() { return {base_.Next(), residual_.Next()}; }

 private:
  static SLUICE_INLINE MatmulArgs ResidualOf(MatmulArgs args) {
    args.weights = args.residual;
    args.row_bytes = args.columns / kSuperBlock * sizeof(BlockResidual2);
    args.next = nullptr;
    return args;
  }
  GroupCursor<V, FieldsPlane2> base_;
  GroupCursor<V, FieldsResidual2> residual_;
};

template <typename V>
struct Rows8Planes : PlaneLevel<V, 1, 22> {
  using Reg = typename V::Reg;
  using Cursor = PlaneCursor<V>;
  static constexpr int kMax = 15;

  explicit SLUICE_INLINE Rows8Planes(PlanePair planes)
      : PlaneLevel<V, 1, 22>(planes.base), residual(planes.residual) {}

  SLUICE_INLINE typename V::Float D() const {
    return V::LoadHalves(residual, FieldsResidual2::kD);
  }

  template <typename Sums>
  SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                             std::size_t stride) const {
    Reg scales[4];
    this->Scales(scales);
#pragma GCC unroll 4
    for (std::size_t column = 0; column < 4; ++column) {
      Reg high[4];
      Reg low[4];
      this->Load(FieldsPlane2::kQs, 4 * column, high);
      LoadUnits<V>(residual, FieldsResidual2::kQs + 128 * column, low);
#pragma GCC unroll 4
      for (std::size_t part = 0; part < 4; ++part) {
        Reg w[4];
        for (int k = 0; k < 4; ++k) {
          w[k] = V::OrMasked(TwoBits<V>(low[k], part),
                             BitTo<V, 2>(high[k], 2 * part), V::Splat8(12));
        }
        const std::size_t s = column / 2 * 8 + 2 * part + column % 2;
        AddSubBlock<V, Rows8Planes>(sums, scales, s, w, q, stride);
      }
    }
  }

  GroupBlockPair residual;
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_PLANE_CODECS_H_
