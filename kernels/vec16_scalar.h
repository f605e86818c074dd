// ScalarVec16: sixteen float lanes in plain C++, the reference for every other
// Vec16 type.
//
// A Vec16 type is what the templates of kernels/*_impl.h are written over:
// sixteen lanes, whatever the width of the machine's registers, so that one
// source text fixes the order of float operations on all of them. Each
// operation below is one IEEE 754 binary32 operation per lane, rounded to
// nearest even:
//
//   Zero Splat Load LoadF16 LoadBf16 LoadInt8 Store StoreF16
//     with a count: lanes at and beyond it read as `fill` (zero where there is
//     no such parameter), and are neither read from nor written to memory.
//   Add Sub Mul Div Neg
//   Fma(a, b, c)    a * b + c, rounded once.
//   Max(a, b)       a > b ? a : b, so b where either is NaN. Min likewise.
//   Ldexp(x, n)     x * 2^n, rounded once. n is given as the float
//                   n + kRoundShift, -160 <= n <= 160.
//   Sum             lanes i and i + 8, then i and i + 4, i and i + 2, i and
//                   i + 1 (addition commutes, so this fixes the result).
//   SumTile         Sum of each of kTile vectors.
//   Max()           the greatest lane, paired as in Sum.
//   kTile           accumulators that fit in registers beside the operands.
//
// Results that are NaN are NaN in all of them, with unspecified sign and
// payload, but for conversions, which are exact to the bit there too.
//
// Internal to kernels/vector_*.cc and their tests. Everything is in an unnamed
// namespace, and no template of the standard library is used: code built for
// one instruction set must not be merged by the linker with that of another.
#ifndef SLUICE_KERNELS_VEC16_SCALAR_H_
#define SLUICE_KERNELS_VEC16_SCALAR_H_

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {
namespace {

// 1.5 * 2^23: adding it to a float below 2^22 in size rounds that to an
// integer, which is then the difference of the bit patterns.
constexpr float kRoundShift = 12582912.0F;
constexpr std::uint32_t kRoundShiftBits = 0x4B400000U;

inline float FloatOf(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
inline std::uint32_t BitsOf(float x) {
  return __builtin_bit_cast(std::uint32_t, x);
}

// Exact; a signalling NaN becomes quiet, as the processors' conversions do.
inline float FloatFromF16(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t magnitude = (half & 0x7FFFU) << 13;
  if (magnitude >= 0x0F800000U) {  // infinity or NaN
    const std::uint32_t quiet = magnitude > 0x0F800000U ? 0x00400000U : 0U;
    return FloatOf(sign | 0x70000000U | magnitude | quiet);
  }
  // The exponent field is 112 too small; the product is exact and makes f16's
  // subnormals normal.
  return FloatOf(sign | BitsOf(FloatOf(magnitude) * 0x1p112F));
}

// To nearest, ties to even; beyond 65504 by half a step or more is infinity.
inline std::uint16_t F16FromFloat(float x) {
  const std::uint32_t sign = (BitsOf(x) >> 16) & 0x8000U;
  const std::uint32_t magnitude = BitsOf(x) & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000U) {  // NaN: quiet, the payload's upper bits
    half = 0x7E00U | ((magnitude >> 13) & 0x3FFU);
  } else if (magnitude >= 0x47800000U) {  // 65536 and up
    half = 0x7C00U;
  } else if (magnitude < 0x38800000U) {
    // Below 2^-14 f16 counts in 2^-24, the last place of floats in [0.5, 1):
    // the addition rounds.
    half = BitsOf(FloatOf(magnitude) + 0.5F) - 0x3F000000U;
  } else {
    // Rebias the exponent by -112 and round off 13 bits; a carry moves on into
    // the exponent, up to infinity.
    const std::uint32_t odd = (magnitude >> 13) & 1U;
    half = (magnitude - 0x38000000U + 0xFFFU + odd) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

struct ScalarVec16 {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kTile = 4;

  float lane[kLanes];

  // Lane i is f(i).
  template <class F>
  static ScalarVec16 Make(F f) {
    ScalarVec16 y;
    for (std::size_t i = 0; i < kLanes; ++i) y.lane[i] = f(i);
    return y;
  }
  template <class T>
  static T Element(const void* p, std::size_t i) {
    T value;
    __builtin_memcpy(&value, static_cast<const char*>(p) + i * sizeof(T),
                     sizeof(T));
    return value;
  }

  static ScalarVec16 Zero() { return Splat(0.0F); }
  static ScalarVec16 Splat(float x) {
    return Make([=](std::size_t) { return x; });
  }
  static ScalarVec16 Load(const void* p) { return Load(p, kLanes); }
  static ScalarVec16 Load(const void* p, std::size_t count, float fill = 0.0F) {
    return Make(
        [=](std::size_t i) { return i < count ? Element<float>(p, i) : fill; });
  }
  static ScalarVec16 LoadF16(const void* p) { return LoadF16(p, kLanes); }
  // Out of line, as Fma and StoreF16 are: one copy, not one for each place that
  // the templates are unrolled to.
  [[gnu::noinline]] static ScalarVec16 LoadF16(const void* p,
                                               std::size_t count) {
    return Make([=](std::size_t i) {
      return i < count ? FloatFromF16(Element<std::uint16_t>(p, i)) : 0.0F;
    });
  }
  static ScalarVec16 LoadBf16(const void* p) { return LoadBf16(p, kLanes); }
  static ScalarVec16 LoadBf16(const void* p, std::size_t count) {
    return Make([=](std::size_t i) {
      const std::uint32_t upper =
          i < count ? Element<std::uint16_t>(p, i) : std::uint16_t{0};
      return FloatOf(upper << 16);
    });
  }
  static ScalarVec16 LoadInt8(const void* p) {
    return Make([=](std::size_t i) {
      return static_cast<float>(Element<std::int8_t>(p, i));
    });
  }
  void Store(float* p) const { Store(p, kLanes); }
  void Store(float* p, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) p[i] = lane[i];
  }
  void StoreF16(std::uint16_t* p) const { StoreF16(p, kLanes); }
  [[gnu::noinline]] void StoreF16(std::uint16_t* p, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) p[i] = F16FromFloat(lane[i]);
  }

  static ScalarVec16 Add(const ScalarVec16& a, const ScalarVec16& b) {
    return Make([&](std::size_t i) { return a.lane[i] + b.lane[i]; });
  }
  static ScalarVec16 Sub(const ScalarVec16& a, const ScalarVec16& b) {
    return Make([&](std::size_t i) { return a.lane[i] - b.lane[i]; });
  }
  static ScalarVec16 Mul(const ScalarVec16& a, const ScalarVec16& b) {
    return Make([&](std::size_t i) { return a.lane[i] * b.lane[i]; });
  }
  static ScalarVec16 Div(const ScalarVec16& a, const ScalarVec16& b) {
    return Make([&](std::size_t i) { return a.lane[i] / b.lane[i]; });
  }
  static ScalarVec16 Neg(const ScalarVec16& a) {
    return Make([&](std::size_t i) { return -a.lane[i]; });
  }
  [[gnu::noinline]] static ScalarVec16 Fma(const ScalarVec16& a,
                                           const ScalarVec16& b,
                                           const ScalarVec16& c) {
    return Make([&](std::size_t i) {
      return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]);
    });
  }
  static ScalarVec16 Max(const ScalarVec16& a, const ScalarVec16& b) {
    return Make([&](std::size_t i) {
      return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    });
  }
  static ScalarVec16 Min(const ScalarVec16& a, const ScalarVec16& b) {
    return Make([&](std::size_t i) {
      return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    });
  }

  // In two factors, because 2^n may be no normal float. The first product is
  // exact for x near 1, so only the second rounds.
  static ScalarVec16 Ldexp(const ScalarVec16& x, const ScalarVec16& shifted) {
    return Make([&](std::size_t i) {
      const auto n =
          static_cast<std::int32_t>(BitsOf(shifted.lane[i]) - kRoundShiftBits);
      const std::int32_t half = n >> 1;
      return x.lane[i] * PowerOfTwo(half) * PowerOfTwo(n - half);
    });
  }

  float Sum() const {
    float s[kLanes];
    __builtin_memcpy(s, lane, sizeof(s));
    for (std::size_t width = kLanes / 2; width != 0; width /= 2) {
      for (std::size_t i = 0; i < width; ++i) s[i] = s[i] + s[i + width];
    }
    return s[0];
  }
  static void SumTile(const ScalarVec16* x, float* sums) {
    for (std::size_t i = 0; i < kTile; ++i) sums[i] = x[i].Sum();
  }
  float Max() const {
    float m[kLanes];
    __builtin_memcpy(m, lane, sizeof(m));
    for (std::size_t width = kLanes / 2; width != 0; width /= 2) {
      for (std::size_t i = 0; i < width; ++i) {
        m[i] = m[i] > m[i + width] ? m[i] : m[i + width];
      }
    }
    return m[0];
  }

 private:
  static float PowerOfTwo(std::int32_t n) {
    return FloatOf((static_cast<std::uint32_t>(n) + 127U) << 23);
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_VEC16_SCALAR_H_
