// The fit of nested weights (kernels/planes.h), written once over a Vec16 type
// (kernels/vec16_scalar.h) and so the same to the bit on every instruction set.
//
// For each superblock the integers s, m and the codes are searched for the
// least sum, over its weights x, of
//
//   importance * sqrt(mean x^2 + x^2) * (error of base^2 + error of both^2)
//
// with one d for both levels. That large weights count for more is llama.cpp's
// way; bench/LEARNED.md has what it changes. Then each level gets a d of its
// own. The least error is reached by values that are too small on the whole: a
// rounding of x that loses x - y has x.y = y.y, so that y keeps only the share
// y.y / x.x of x. With 4 levels that is a loss of 7 percent in the same
// direction everywhere, which layers add up, while errors in all other
// directions cancel. So d is enlarged until x.y = x.x.
//
// Internal to kernels/vector_*.cc; the rules on linkage are in
// kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_PLANE_FIT_IMPL_H_
#define SLUICE_KERNELS_PLANE_FIT_IMPL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/quant_blocks.h"
#include "kernels/vec16_scalar.h"

namespace sluice::kernels {
namespace {

constexpr int kPlaneSubBlocks = 16;
constexpr int kMostScale = 15;
// The farthest level from zero, of any m.
constexpr float kFarthestLevel = 23.0F;

// s * d and m of a sub-block.
struct GridPlace {
  float step = 0;
  int scale = 0;
  int m = 7;
};

inline float NearestInt(float x) { return (x + kRoundShift) - kRoundShift; }
inline int Bounded(int x, int low, int high) {
  return x < low ? low : x > high ? high : x;
}

// Codes c = 4 g + r of weights x on a grid, as floats.
template <class V>
inline V PlaneCodes(V x, float inverse_step, int m) {
  const V half = V::Splat(0.5F * inverse_step);
  const V at = V::Fma(x, half, V::Splat(0.5F * static_cast<float>(22 - m)));
  const V shift = V::Splat(kRoundShift);
  const V rounded = V::Sub(V::Add(at, shift), shift);
  return V::Min(V::Splat(15.0F), V::Max(V::Splat(0.0F), rounded));
}
// floor(c / 4).
template <class V>
inline V BaseCodes(V c) {
  const V shift = V::Splat(kRoundShift);
  const V at = V::Fma(c, V::Splat(0.25F), V::Splat(-0.375F));
  return V::Sub(V::Add(at, shift), shift);
}

// What the grid loses of weights x at both levels, each weight counting w.
template <class V>
inline float GridError(V x, V w, float step, int m) {
  const float inverse = 1.0F / step;
  const V c = PlaneCodes(x, inverse, m);
  const V y = V::Fma(x, V::Splat(inverse), V::Splat(static_cast<float>(7 - m)));
  const V full = V::Sub(y, V::Fma(c, V::Splat(2.0F), V::Splat(-15.0F)));
  const V base =
      V::Sub(y, V::Fma(BaseCodes(c), V::Splat(8.0F), V::Splat(-12.0F)));
  const V squares = V::Fma(full, full, V::Mul(base, base));
  return V::Mul(w, squares).Sum() * (step * step);
}

// The best grid of a sub-block if s were any number.
template <class V>
inline GridPlace FreePlace(V x, V w) {
  constexpr int kSteps = 8;
  const float high = x.Max();
  const float low = -V::Neg(x).Max();
  const float middle = 0.5F * (high + low);
  float reach = 0.5F * (high - low) / 15.0F;
  const float farthest = high > -low ? high : -low;
  if (reach < farthest / kFarthestLevel) reach = farthest / kFarthestLevel;
  GridPlace best;
  if (!(reach > 0x1p-100F)) return best;
  float least = __builtin_inff();
  for (int i = 0; i < kSteps; ++i) {
    const float step = reach * (0.64F + 0.0625F * static_cast<float>(i));
    const int m =
        Bounded(7 + static_cast<int>(NearestInt(middle / step)), 0, 15);
    for (int near = m - 1; near <= m + 1; ++near) {
      if (near < 0 || near > 15) continue;
      const float error = GridError(x, w, step, near);
      if (error < least) {
        least = error;
        best = {step, 0, near};
      }
    }
  }
  return best;
}

// The best grid near `free` whose step is a multiple of d; what it loses is
// added to `total`.
template <class V>
inline GridPlace PlaceOn(V x, V w, float d, const GridPlace& free,
                         float& total) {
  GridPlace best;  // s = 0: all weights become zero
  float least = 2.0F * V::Mul(w, V::Mul(x, x)).Sum();
  const float middle = NearestInt(free.step / d);
  const int low = Bounded(static_cast<int>(0.85F * middle) - 1, 1, kMostScale);
  const int high = Bounded(static_cast<int>(1.15F * middle) + 1, 1, kMostScale);
  for (int s = low; s <= high; ++s) {
    for (int m = free.m - 1; m <= free.m + 1; ++m) {
      if (m < 0 || m > 15) continue;
      const float step = d * static_cast<float>(s);
      const float error = GridError(x, w, step, m);
      if (error < least) {
        least = error;
        best = {step, s, m};
      }
    }
  }
  total += least;
  return best;
}

inline float RoundedToHalf(float x) { return FloatFromF16(F16FromFloat(x)); }
inline PackedHalf PackHalf(float x) {
  const std::uint16_t bits = F16FromFloat(x);
  return {
      {static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits >> 8)}};
}

// d enlarged until rounding keeps x.x: between d and twice that.
inline float Unshrunk(float d, float xx, float xy) {
  constexpr float kMostHalf = 65504.0F;
  if (!(xy > 0.0F) || xy >= xx) return d;
  const float enlarged = xx < 2.0F * xy ? d * (xx / xy) : 2.0F * d;
  return enlarged < kMostHalf ? enlarged : kMostHalf;
}

// Writes the codes of a superblock, and each level's d.
template <class V>
inline void Encode(const float* x, const float* importance, float d,
                   const GridPlace* places, BlockPlane2& base,
                   BlockResidual2& residual) {
  float xx = 0;
  float x_base = 0;
  float x_full = 0;
  for (int s = 0; s < kPlaneSubBlocks; ++s) {
    const GridPlace& place = places[s];
    base.scales[s] = static_cast<std::uint8_t>(place.scale | place.m << 4);
    const V v = V::Load(x + 16 * s);
    const V weighted = V::Mul(v, V::Load(importance + 16 * s));
    xx += V::Mul(weighted, v).Sum();
    if (place.scale == 0) continue;
    const V c = PlaneCodes(v, 1.0F / place.step, place.m);
    const V g = BaseCodes(c);
    const V step = V::Splat(place.step);
    const auto m = static_cast<float>(place.m);
    const V base_level = V::Fma(g, V::Splat(8.0F), V::Splat(m - 19.0F));
    const V full_level = V::Fma(c, V::Splat(2.0F), V::Splat(m - 22.0F));
    x_base += V::Mul(weighted, V::Mul(step, base_level)).Sum();
    x_full += V::Mul(weighted, V::Mul(step, full_level)).Sum();
    float codes[16];
    c.Store(codes);
    // Weights 16 s .. of 128 h + 32 p + i.
    const int byte = s / 8 * 32 + s % 2 * 16;
    const int bit = s / 2 % 4 * 2;
    for (int i = 0; i < 16; ++i) {
      const auto code = static_cast<unsigned>(codes[i]);
      base.qs[byte + i] |= static_cast<std::uint8_t>(code >> 2 << bit);
      residual.qs[byte + i] |= static_cast<std::uint8_t>((code & 3U) << bit);
    }
  }
  base.d = PackHalf(Unshrunk(d, xx, x_base));
  residual.d = PackHalf(Unshrunk(d, xx, x_full));
}

// One superblock.
template <class V>
void FitPlaneBlock(const float* x, const float* importance,
                   std::byte* base_block, std::byte* residual_block) {
  auto& base = *reinterpret_cast<BlockPlane2*>(base_block);
  auto& residual = *reinterpret_cast<BlockResidual2*>(residual_block);
  base = {};
  residual = {};
  V squares = V::Zero();
  for (int s = 0; s < kPlaneSubBlocks; ++s) {
    const V v = V::Load(x + 16 * s);
    squares = V::Fma(v, v, squares);
  }
  const float mean = squares.Sum() / static_cast<float>(kSuperBlock);
  if (!(mean < __builtin_inff())) {
    base.d = residual.d = {{0x00, 0x7E}};
    return;
  }
  V weights[kPlaneSubBlocks];
  GridPlace free[kPlaneSubBlocks];
  float most = 0;
  for (int s = 0; s < kPlaneSubBlocks; ++s) {
    const V v = V::Load(x + 16 * s);
    float size[16];
    V::Fma(v, v, V::Splat(mean)).Store(size);
    for (float& value : size) value = __builtin_sqrtf(value);
    weights[s] = V::Mul(V::Load(size), V::Load(importance + 16 * s));
    free[s] = FreePlace(v, weights[s]);
    if (free[s].step > most) most = free[s].step;
  }
  constexpr float kShares[] = {1.0F, 0.94F, 1.06F, 0.88F};
  float least = __builtin_inff();
  float d = 0;
  GridPlace best[kPlaneSubBlocks];
  for (const float share : kShares) {
    const float tried = RoundedToHalf(most * share / kMostScale);
    if (!(tried > 0.0F) || tried > 65504.0F) continue;
    GridPlace places[kPlaneSubBlocks];
    float total = 0;
    for (int s = 0; s < kPlaneSubBlocks; ++s) {
      places[s] =
          PlaceOn(V::Load(x + 16 * s), weights[s], tried, free[s], total);
    }
    if (total >= least) continue;
    least = total;
    d = tried;
    for (int s = 0; s < kPlaneSubBlocks; ++s) best[s] = places[s];
  }
  Encode<V>(x, importance, d, best, base, residual);
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_PLANE_FIT_IMPL_H_
