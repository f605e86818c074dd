// The vector operations of KernelTable, written once over a Vec16 type
// (kernels/vec16_scalar.h) and so the same to the bit on every instruction set.
//
// A vector of n values is taken sixteen at a time; the lanes of the last,
// partial step beyond n hold a neutral value (zero in sums, -infinity in
// maxima) and are not stored.
//
// Internal to kernels/vector_*.cc and their tests; the rules on linkage are in
// kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_VECTOR_OPS_IMPL_H_
#define SLUICE_KERNELS_VECTOR_OPS_IMPL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace sluice::kernels {
namespace {

// Calls step(i, lanes) for each step of n values: with Whole for all sixteen
// lanes from i on, with Part in a last step of fewer.
struct Whole {};
struct Part {
  std::size_t count;
};
template <class F>
inline void ForSteps(std::size_t n, F step) {
  std::size_t i = 0;
  for (; n - i >= 16; i += 16) step(i, Whole{});
  if (i < n) step(i, Part{n - i});
}

template <class V>
inline V LoadLanes(const float* p, Whole, float = 0.0F) {
  return V::Load(p);
}
template <class V>
inline V LoadLanes(const float* p, Part part, float fill = 0.0F) {
  return V::Load(p, part.count, fill);
}
template <class V>
inline void StoreLanes(V v, float* p, Whole) {
  v.Store(p);
}
template <class V>
inline void StoreLanes(V v, float* p, Part part) {
  v.Store(p, part.count);
}

// e^x within 1 ulp of the exact value, subnormal results included; 0 below
// -104, infinity above 88.73; NaN stays NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, in two steps of a split ln 2. e^r is
// 1 + r + r^2 q(r), q of degree 4 by Remez' exchange for least relative error
// of e^r, which is 3.1e-9, a twentieth of an ulp.
template <class V>
inline V Exp(V x) {
  // Beyond these the result is 0 and infinity already. As second operand a NaN
  // passes through both.
  x = V::Min(V::Splat(89.0F), V::Max(V::Splat(-104.0F), x));
  const V shift = V::Splat(0x1.8p23F);
  const V shifted = V::Fma(x, V::Splat(0x1.715476p0F), shift);  // n + shift
  const V n = V::Sub(shifted, shift);
  V r = V::Fma(n, V::Splat(-0x1.62e43p-1F), x);
  r = V::Fma(n, V::Splat(0x1.05c61p-29F), r);
  V p = V::Splat(0x1.6a2402p-10F);
  p = V::Fma(p, r, V::Splat(0x1.123ap-7F));
  p = V::Fma(p, r, V::Splat(0x1.5558f2p-5F));
  p = V::Fma(p, r, V::Splat(0x1.555492p-3F));
  p = V::Fma(p, r, V::Splat(0x1.fffffcp-2F));
  p = V::Fma(p, r, V::Splat(1.0F));
  p = V::Fma(p, r, V::Splat(1.0F));
  return V::Ldexp(p, shifted);
}

template <class V>
void RmsNorm(const float* x, const float* weight, std::size_t n, float eps,
             float* y) {
  V squares = V::Zero();
  ForSteps(n, [&](std::size_t i, auto lanes) {
    const V v = LoadLanes<V>(x + i, lanes);
    squares = V::Fma(v, v, squares);
  });
  const float mean = squares.Sum() / static_cast<float>(n);
  const V scale = V::Splat(1.0F / __builtin_sqrtf(mean + eps));
  ForSteps(n, [&](std::size_t i, auto lanes) {
    const V v = V::Mul(LoadLanes<V>(x + i, lanes), scale);
    StoreLanes(V::Mul(v, LoadLanes<V>(weight + i, lanes)), y + i, lanes);
  });
}

template <class V>
void RopeNeox(float* x, std::size_t n, const float* cos, const float* sin) {
  float* const upper = x + n / 2;
  ForSteps(n / 2, [&](std::size_t i, auto lanes) {
    const V a = LoadLanes<V>(x + i, lanes);
    const V b = LoadLanes<V>(upper + i, lanes);
    const V c = LoadLanes<V>(cos + i, lanes);
    const V s = LoadLanes<V>(sin + i, lanes);
    StoreLanes(V::Fma(a, c, V::Neg(V::Mul(b, s))), x + i, lanes);
    StoreLanes(V::Fma(b, c, V::Mul(a, s)), upper + i, lanes);
  });
}

template <class V>
void Softmax(float* x, std::size_t n) {
  constexpr float kLeast = -__builtin_inff();
  V maxima = V::Splat(kLeast);
  ForSteps(n, [&](std::size_t i, auto lanes) {
    maxima = V::Max(LoadLanes<V>(x + i, lanes, kLeast), maxima);
  });
  const V max = V::Splat(maxima.Max());
  V sums = V::Zero();
  ForSteps(n, [&](std::size_t i, auto lanes) {
    // Lanes beyond n are e^-infinity: they add zero.
    const V e = Exp(V::Sub(LoadLanes<V>(x + i, lanes, kLeast), max));
    sums = V::Add(sums, e);
    StoreLanes(e, x + i, lanes);
  });
  const V sum = V::Splat(sums.Sum());
  ForSteps(n, [&](std::size_t i, auto lanes) {
    StoreLanes(V::Div(LoadLanes<V>(x + i, lanes), sum), x + i, lanes);
  });
}

template <class V>
void Swiglu(const float* gate, const float* up, std::size_t n, float* y) {
  const V one = V::Splat(1.0F);
  ForSteps(n, [&](std::size_t i, auto lanes) {
    const V g = LoadLanes<V>(gate + i, lanes);
    const V silu = V::Div(g, V::Add(one, Exp(V::Neg(g))));
    StoreLanes(V::Mul(silu, LoadLanes<V>(up + i, lanes)), y + i, lanes);
  });
}

template <class V>
void Reglu(const float* gate, const float* up, std::size_t n, float* y) {
  const V zero = V::Zero();
  ForSteps(n, [&](std::size_t i, auto lanes) {
    const V relu = V::Max(zero, LoadLanes<V>(gate + i, lanes));
    StoreLanes(V::Mul(relu, LoadLanes<V>(up + i, lanes)), y + i, lanes);
  });
}

template <class V>
void Add(const float* x, std::size_t n, float* y) {
  ForSteps(n, [&](std::size_t i, auto lanes) {
    const V sum =
        V::Add(LoadLanes<V>(y + i, lanes), LoadLanes<V>(x + i, lanes));
    StoreLanes(sum, y + i, lanes);
  });
}

template <class V>
void Axpy(float scale, const float* x, std::size_t n, float* y) {
  const V a = V::Splat(scale);
  ForSteps(n, [&](std::size_t i, auto lanes) {
    const V v = LoadLanes<V>(x + i, lanes);
    StoreLanes(V::Fma(a, v, LoadLanes<V>(y + i, lanes)), y + i, lanes);
  });
}

template <class V>
void ToF16(const float* x, std::size_t n, std::uint16_t* y) {
  std::size_t i = 0;
  for (; n - i >= 16; i += 16) V::Load(x + i).StoreF16(y + i);
  if (i < n) V::Load(x + i, n - i).StoreF16(y + i, n - i);
}

template <class V>
void AddVectorOps(KernelTable& table) {
  table.rms_norm = RmsNorm<V>;
  table.rope_neox = RopeNeox<V>;
  table.softmax = Softmax<V>;
  table.swiglu = Swiglu<V>;
  table.reglu = Reglu<V>;
  table.add = Add<V>;
  table.axpy = Axpy<V>;
  table.to_f16 = ToF16<V>;
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_VECTOR_OPS_IMPL_H_
