// How a token's activations are stored for the quantised products, and what
// those products compute.
//
// A token's record is contiguous and starts at a multiple of 64 bytes; so does
// each of its parts. With n columns:
//
//   kQ8x32                            kQ8x256
//   int8  q[n]                        int8  q[n]
//   f32   scales[n / 32]              f32   scales[n / 256]
//   int32 sums[n / 32]                int16 sums16[n / 16]
//   f32   scaled_sums[n / 32]         int16 sums32[n / 32]
//
// Quantisation of a block (32 or 256 values): m = max |x|.
//   m infinite or NaN:  scale = NaN, q = 0 (the products become NaN too)
//   m < 2^-100:         scale = 0, q = 0
//   else:               scale = m / 127, q = rint(x * (127 / m)), each
//   operation
//                       rounded to nearest even; q is in [-127, 127].
// sums are exact sums of 16 or 32 neighbouring q; scaled_sums[b] is
// scale[b] * float(sums[b]).
//
// Products, per row and token, acc = 0 before the first block, blocks in order,
// every operation rounded to f32, integers exact in int32:
//   Q8_0 Q4_0 Q5_0 IQ4_NL MXFP4:
//     acc = fma(d * scale[b], float(sum of w * q), acc)
//   Q4_1 Q5_1:
//     the same, then acc = fma(m, scaled_sums[b], acc)
//   Q3_K Q6_K IQ4_XS TQ1_0 TQ2_0, per superblock, s the (signed) sub-block
//   scale, 1 where the type has none:
//     acc = fma(d * scale[b], float(sum over sub-blocks of s * sum of w * q),
//               acc)
//   Q2_K Q4_K Q5_K:
//     the same, then acc = fma(-(dmin * scale[b]),
//                              float(sum over sub-blocks of m * sum of q), acc)
// where w is the signed integer that the format gives before its float scale.
// The order is that of one row alone, so results do not depend on how many rows
// or tokens are computed together, nor on the instruction set.
//
// Functions here have internal linkage: this header is included by files built
// for different instruction sets, whose code must never be merged.
#ifndef SLUICE_KERNELS_ACTIVATIONS_H_
#define SLUICE_KERNELS_ACTIVATIONS_H_

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {
namespace {

constexpr std::size_t PadTo64(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// Byte offsets of the parts of a kQ8x32 record of n columns.
struct Q8x32Layout {
  explicit constexpr Q8x32Layout(std::size_t n)
      : scales(PadTo64(n)),
        sums(scales + PadTo64(n / 32 * 4)),
        scaled_sums(sums + PadTo64(n / 32 * 4)),
        bytes(scaled_sums + PadTo64(n / 32 * 4)) {}
  std::size_t scales;
  std::size_t sums;
  std::size_t scaled_sums;
  std::size_t bytes;
};

// Byte offsets of the parts of a kQ8x256 record of n columns.
struct Q8x256Layout {
  explicit constexpr Q8x256Layout(std::size_t n)
      : scales(PadTo64(n)),
        sums16(scales + PadTo64(n / 256 * 4)),
        sums32(sums16 + PadTo64(n / 16 * 2)),
        bytes(sums32 + PadTo64(n / 32 * 2)) {}
  std::size_t scales;
  std::size_t sums16;
  std::size_t sums32;
  std::size_t bytes;
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ACTIVATIONS_H_
