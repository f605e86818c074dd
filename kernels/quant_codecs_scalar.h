// Weight blocks to integers, one codec per type, in plain C++.
//
// A codec of a plain type has Weights (32 signed integers), Scale and, where
// the type has a minimum, Min. A codec of a K type unpacks a superblock into an
// Unpacked: 256 integers and the scales and minima of 16 sub-blocks of 16
// (types with sub-blocks of 32 give both halves the same). dequantize and the
// scalar products are both defined on these.
//
// Included only by files built without instruction set flags.
#ifndef SLUICE_KERNELS_QUANT_CODECS_SCALAR_H_
#define SLUICE_KERNELS_QUANT_CODECS_SCALAR_H_

#include <bit>
#include <cstdint>

#include "kernels/quant_blocks.h"

namespace sluice::kernels {
namespace {

// Exact; subnormals, infinities and NaN included.
inline float HalfToFloat(PackedHalf half) {
  const std::uint32_t bits = half.bytes[0] | half.bytes[1] << 8;
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits >> 10 & 31U;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t biased = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | biased << 23 | mantissa << 13);
}

// 2^(e - 128).
inline float HalvedE8M0(std::uint8_t e) {
  const std::uint32_t bits =
      e < 2 ? 0x00200000U << e : static_cast<std::uint32_t>(e - 1) << 23;
  return std::bit_cast<float>(bits);
}

inline std::int8_t ToInt8(int value) { return static_cast<std::int8_t>(value); }

// 32 weights: the bits of 32 bytes that `mask` leaves after a shift down.
inline void TakeBits(const std::uint8_t* bytes, std::size_t shift, int mask,
                     std::int8_t* w) {
  for (std::size_t i = 0; i < 32; ++i) w[i] = ToInt8(bytes[i] >> shift & mask);
}
// The same bits put on top of what w has below bit `position`.
inline void AddBits(const std::uint8_t* bytes, std::size_t shift, int mask,
                    std::size_t position, std::int8_t* w) {
  for (std::size_t i = 0; i < 32; ++i) {
    w[i] = ToInt8(w[i] | (bytes[i] >> shift & mask) << position);
  }
}
inline void Subtract(int bias, std::size_t n, std::int8_t* w) {
  for (std::size_t i = 0; i < n; ++i) w[i] = ToInt8(w[i] - bias);
}

// Low nibbles to w[0..15], high nibbles to w[16..31].
inline void SplitNibbles(const std::uint8_t* qs, std::int8_t* w) {
  for (std::size_t i = 0; i < 16; ++i) w[i] = ToInt8(qs[i] & 15);
  for (std::size_t i = 0; i < 16; ++i) w[i + 16] = ToInt8(qs[i] >> 4);
}
inline void AddFifthBits(const std::uint8_t (&qh)[4], std::int8_t* w) {
  for (std::size_t byte = 0; byte < 4; ++byte) {
    for (std::size_t bit = 0; bit < 8; ++bit) {
      const std::size_t i = 8 * byte + bit;
      w[i] = ToInt8(w[i] | (qh[byte] >> bit & 1) << 4);
    }
  }
}
inline void LookUp(const std::int8_t (&table)[16], std::int8_t* w) {
  for (std::size_t i = 0; i < 32; ++i) w[i] = table[w[i]];
}

struct CodecQ8_0 {
  using Block = BlockQ8_0;
  static constexpr bool kHasMin = false;
  static void Weights(const Block& block, std::int8_t* w) {
    for (std::size_t i = 0; i < 32; ++i) w[i] = block.q[i];
  }
  static float Scale(const Block& block) { return HalfToFloat(block.d); }
};

struct CodecQ4_0 {
  using Block = BlockQ4_0;
  static constexpr bool kHasMin = false;
  static void Weights(const Block& block, std::int8_t* w) {
    SplitNibbles(block.qs, w);
    Subtract(8, 32, w);
  }
  static float Scale(const Block& block) { return HalfToFloat(block.d); }
};

struct CodecQ4_1 {
  using Block = BlockQ4_1;
  static constexpr bool kHasMin = true;
  static void Weights(const Block& block, std::int8_t* w) {
    SplitNibbles(block.qs, w);
  }
  static float Scale(const Block& block) { return HalfToFloat(block.d); }
  static float Min(const Block& block) { return HalfToFloat(block.m); }
};

struct CodecQ5_0 {
  using Block = BlockQ5_0;
  static constexpr bool kHasMin = false;
  static void Weights(const Block& block, std::int8_t* w) {
    SplitNibbles(block.qs, w);
    AddFifthBits(block.qh, w);
    Subtract(16, 32, w);
  }
  static float Scale(const Block& block) { return HalfToFloat(block.d); }
};

struct CodecQ5_1 {
  using Block = BlockQ5_1;
  static constexpr bool kHasMin = true;
  static void Weights(const Block& block, std::int8_t* w) {
    SplitNibbles(block.qs, w);
    AddFifthBits(block.qh, w);
  }
  static float Scale(const Block& block) { return HalfToFloat(block.d); }
  static float Min(const Block& block) { return HalfToFloat(block.m); }
};

struct CodecIQ4_NL {
  using Block = BlockIQ4_NL;
  static constexpr bool kHasMin = false;
  static void Weights(const Block& block, std::int8_t* w) {
    SplitNibbles(block.qs, w);
    LookUp(kIq4Values, w);
  }
  static float Scale(const Block& block) { return HalfToFloat(block.d); }
};

struct CodecMXFP4 {
  using Block = BlockMXFP4;
  static constexpr bool kHasMin = false;
  static void Weights(const Block& block, std::int8_t* w) {
    SplitNibbles(block.qs, w);
    LookUp(kMxfp4Values, w);
  }
  static float Scale(const Block& block) { return HalvedE8M0(block.e); }
};

// A superblock as integers.
struct Unpacked {
  std::int8_t w[256];
  std::int32_t scales[16];
  std::int32_t mins[16];
};

struct CodecQ2_K {
  using Block = BlockQ2_K;
  static constexpr bool kHasMin = true;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      TakeBits(block.qs + p / 4 * 32, 2 * (p % 4), 3, out.w + 32 * p);
    }
    for (std::size_t s = 0; s < 16; ++s) {
      out.scales[s] = block.scales[s] & 15;
      out.mins[s] = block.scales[s] >> 4;
    }
  }
};

struct CodecQ3_K {
  using Block = BlockQ3_K;
  static constexpr bool kHasMin = false;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      TakeBits(block.qs + p / 4 * 32, 2 * (p % 4), 3, out.w + 32 * p);
      AddBits(block.hmask, p, 1, 2, out.w + 32 * p);
    }
    Subtract(4, 256, out.w);
    for (std::size_t s = 0; s < 16; ++s) {
      const int low = block.scales[s % 8] >> 4 * (s / 8) & 15;
      const int high = block.scales[8 + s % 4] >> 2 * (s / 4) & 3;
      out.scales[s] = (low | high << 4) - 32;
    }
  }
};

// The six-bit scales and minima of Q4_K and Q5_K.
inline void UnpackScales(const std::uint8_t (&packed)[12], Unpacked& out) {
  for (std::size_t s = 0; s < 16; ++s) {
    const std::size_t i = s / 2 % 4;
    const bool upper = s / 2 >= 4;
    const int nibbles = packed[8 + i];
    out.scales[s] = upper ? (nibbles & 15) | packed[i] >> 6 << 4  //
                          : packed[i] & 63;
    out.mins[s] =
        upper ? nibbles >> 4 | packed[4 + i] >> 6 << 4 : packed[4 + i] & 63;
  }
}

struct CodecQ4_K {
  using Block = BlockQ4_K;
  static constexpr bool kHasMin = true;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      TakeBits(block.qs + p / 2 * 32, 4 * (p % 2), 15, out.w + 32 * p);
    }
    UnpackScales(block.scales, out);
  }
};

struct CodecQ5_K {
  using Block = BlockQ5_K;
  static constexpr bool kHasMin = true;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      TakeBits(block.qs + p / 2 * 32, 4 * (p % 2), 15, out.w + 32 * p);
      AddBits(block.qh, p, 1, 4, out.w + 32 * p);
    }
    UnpackScales(block.scales, out);
  }
};

struct CodecQ6_K {
  using Block = BlockQ6_K;
  static constexpr bool kHasMin = false;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      const std::size_t part = p % 4;
      TakeBits(block.ql + p / 4 * 64 + part % 2 * 32, 4 * (part / 2), 15,
               out.w + 32 * p);
      AddBits(block.qh + p / 4 * 32, 2 * part, 3, 4, out.w + 32 * p);
    }
    Subtract(32, 256, out.w);
    for (std::size_t s = 0; s < 16; ++s) out.scales[s] = block.scales[s];
  }
};

struct CodecIQ4_XS {
  using Block = BlockIQ4_XS;
  static constexpr bool kHasMin = false;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      SplitNibbles(block.qs + 16 * p, out.w + 32 * p);
      LookUp(kIq4Values, out.w + 32 * p);
    }
    const int high = block.scales_h[0] | block.scales_h[1] << 8;
    for (std::size_t s = 0; s < 16; ++s) {
      const std::size_t i = s / 2;
      const int low = block.scales_l[i / 2] >> 4 * (i % 2) & 15;
      out.scales[s] = (low | (high >> 2 * i & 3) << 4) - 32;
    }
  }
};

inline void SetScalesToOne(Unpacked& out) {
  for (std::int32_t& scale : out.scales) scale = 1;
}

struct CodecTQ1_0 {
  using Block = BlockTQ1_0;
  static constexpr bool kHasMin = false;
  static void Unpack(const Block& block, Unpacked& out) {
    std::int8_t* w = TakeTrits(block.qs, 32, 5, out.w);
    w = TakeTrits(block.qs + 32, 16, 5, w);
    TakeTrits(block.qh, 4, 4, w);
    Subtract(1, 256, out.w);
    SetScalesToOne(out);
  }
  // Digits 0 .. digits - 1 of `count` bytes; returns the end.
  static std::int8_t* TakeTrits(const std::uint8_t* bytes, std::size_t count,
                                std::size_t digits, std::int8_t* w) {
    unsigned power = 1;
    for (std::size_t n = 0; n < digits; ++n, power *= 3) {
      for (std::size_t i = 0; i < count; ++i) {
        *w++ = ToInt8(static_cast<int>((bytes[i] * power & 255U) * 3 >> 8));
      }
    }
    return w;
  }
};

struct CodecTQ2_0 {
  using Block = BlockTQ2_0;
  static constexpr bool kHasMin = false;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      TakeBits(block.qs + p / 4 * 32, 2 * (p % 4), 3, out.w + 32 * p);
    }
    Subtract(1, 256, out.w);
    SetScalesToOne(out);
  }
};

// The base plane alone.
struct CodecPlane2 {
  using Block = BlockPlane2;
  static constexpr bool kHasMin = false;
  static void Unpack(const Block& block, Unpacked& out) {
    for (std::size_t p = 0; p < 8; ++p) {
      TakeBits(block.qs + p / 4 * 32, 2 * (p % 4), 3, out.w + 32 * p);
    }
    for (std::size_t s = 0; s < 16; ++s) {
      out.scales[s] = block.scales[s] & 15;
      const int shift = (block.scales[s] >> 4) - 19;
      for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) {
        out.w[i] = ToInt8(8 * out.w[i] + shift);
      }
    }
  }
};

// Both planes; the scale is the residual's d.
inline void UnpackPlanes(const BlockPlane2& base,
                         const BlockResidual2& residual, Unpacked& out) {
  for (std::size_t p = 0; p < 8; ++p) {
    TakeBits(residual.qs + p / 4 * 32, 2 * (p % 4), 3, out.w + 32 * p);
    AddBits(base.qs + p / 4 * 32, 2 * (p % 4), 3, 2, out.w + 32 * p);
  }
  for (std::size_t s = 0; s < 16; ++s) {
    out.scales[s] = base.scales[s] & 15;
    const int shift = (base.scales[s] >> 4) - 22;
    for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) {
      out.w[i] = ToInt8(2 * out.w[i] + shift);
    }
  }
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_CODECS_SCALAR_H_
