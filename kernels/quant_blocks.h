// Packed blocks of quantised weights, byte for byte as GGUF files hold them.
//
// A row of weights is a run of blocks without padding. Scales are IEEE binary16
// (`f16`) unless said otherwise; all fields are little-endian. Blocks start at
// any address, so code copies fields out instead of pointing at them; the only
// member types are bytes and arrays of bytes, which makes every struct here
// alignment 1 and safe to point at.
//
// Constants and layouts only: no code, so that every instruction set's files
// may include it.
#ifndef SLUICE_KERNELS_QUANT_BLOCKS_H_
#define SLUICE_KERNELS_QUANT_BLOCKS_H_

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

// Weights in a block of the plain types and in a superblock of the K types.
inline constexpr std::size_t kBlock = 32;
inline constexpr std::size_t kSuperBlock = 256;

// Two bytes holding a binary16.
struct PackedHalf {
  std::uint8_t bytes[2];
};

// w = d * q[i].
struct BlockQ8_0 {
  PackedHalf d;
  std::int8_t q[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// In the four- and five-bit plain types byte j of `qs` has weight j in its low
// nibble and weight j + 16 in its high one; bit i of `qh` (little-endian) is
// the fifth bit of weight i.

// w = d * (q - 8).
struct BlockQ4_0 {
  PackedHalf d;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// w = d * q + m.
struct BlockQ4_1 {
  PackedHalf d;
  PackedHalf m;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// w = d * (q - 16).
struct BlockQ5_0 {
  PackedHalf d;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// w = d * q + m.
struct BlockQ5_1 {
  PackedHalf d;
  PackedHalf m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// w = d * kIq4Values[q].
struct BlockIQ4_NL {
  PackedHalf d;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

// w = 2^(e - 128) * kMxfp4Values[q]: the table holds twice the E2M1 values of
// the OCP Microscaling specification, so the E8M0 scale is halved. e = 0 and 1
// give the subnormals 2^-128 and 2^-127.
struct BlockMXFP4 {
  std::uint8_t e;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

// The K types: superblocks of 256 weights in sub-blocks of 16 or 32 that have
// integer scales (and minima) of their own.

// w = d * s * q - dmin * m, 16 sub-blocks of 16: scales[i] is s | m << 4.
// qs: weight 128 h + 32 p + i is bits 2p, 2p+1 of byte 32 h + i.
struct BlockQ2_K {
  std::uint8_t scales[16];
  std::uint8_t qs[64];
  PackedHalf d;
  PackedHalf dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

// w = d * (s - 32) * (q - 4), 16 sub-blocks of 16. Low two bits of q as in
// Q2_K; the third of weight 32 p + i is bit p of hmask[i]. Six-bit s: the low
// four bits of s[i] are nibbles (s[i] low, s[i + 8] high, i < 8), bits 2p, 2p+1
// of scales[8 + i] are the high two of s[4 p + i].
struct BlockQ3_K {
  std::uint8_t hmask[32];
  std::uint8_t qs[64];
  std::uint8_t scales[12];
  PackedHalf d;
};
static_assert(sizeof(BlockQ3_K) == 110);

// w = d * s * q - dmin * m, 8 sub-blocks of 32. qs: byte 32 c + i has weight
// 64 c + i low and 64 c + 32 + i high. Six-bit s and m: bytes 0..3 are s[0..3],
// bytes 4..7 m[0..3] in their low six bits; bytes 8..11 hold the low nibbles of
// s[4..7] (low) and m[4..7] (high), whose top two bits are those of bytes 0..3
// and 4..7.
struct BlockQ4_K {
  PackedHalf d;
  PackedHalf dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

// As Q4_K; the fifth bit of weight 32 p + i is bit p of qh[i].
struct BlockQ5_K {
  PackedHalf d;
  PackedHalf dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// w = d * s * (q - 32), 16 sub-blocks of 16. For half h, part p in 0..3 and i
// in 0..31, weight 128 h + 32 p + i has its low nibble in byte
// 64 h + 32 (p % 2) + i of ql (low nibble for p < 2, high otherwise) and its
// top two bits at bits 2p, 2p+1 of qh[32 h + i].
struct BlockQ6_K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  PackedHalf d;
};
static_assert(sizeof(BlockQ6_K) == 210);

// w = d * (s - 32) * kIq4Values[q], 8 sub-blocks of 32, each with its nibbles
// as in Q4_0. Six-bit s: nibbles of scales_l, bits 2i, 2i+1 of scales_h on top.
struct BlockIQ4_XS {
  PackedHalf d;
  std::uint8_t scales_h[2];
  std::uint8_t scales_l[4];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

// The ternary types: w = d * (t - 1), one scale for 256 weights.

// A byte has five digits t of base 3, the first one the highest, as the
// fraction ceil(256 x / 243) of the number x that they make: digit n is what
// 3^n times the byte, in eight bits, and 3 times that carry over. qs: weight 32
// n + i is digit n of byte i < 32, weight 160 + 16 n + i digit n of byte 32 +
// i. qh: weight 240 + 4 n + i is digit n < 4 of byte i.
struct BlockTQ1_0 {
  std::uint8_t qs[48];
  std::uint8_t qh[4];
  PackedHalf d;
};
static_assert(sizeof(BlockTQ1_0) == 54);

// t as q in Q2_K; 3 is not written, and read as any other.
struct BlockTQ2_0 {
  std::uint8_t qs[64];
  PackedHalf d;
};
static_assert(sizeof(BlockTQ2_0) == 66);
// The planes of nested weights, specified in kernels/planes.h: a base of two
// bits a weight, and a residual of two more. 16 sub-blocks of 16; scales[i] is
// s | m << 4; qs as in Q2_K, of both.
// Base alone, g its code:           w = d * s * (8 g + m - 19).
// Both, c = 4 g + residual's code:  w = residual's d * s * (2 c + m - 22).
struct BlockPlane2 {
  PackedHalf d;
  std::uint8_t scales[16];
  std::uint8_t qs[64];
};
static_assert(sizeof(BlockPlane2) == 82);
struct BlockResidual2 {
  PackedHalf d;
  std::uint8_t qs[64];
};
static_assert(sizeof(BlockResidual2) == 66);

inline constexpr std::int8_t kIq4Values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
inline constexpr std::int8_t kMxfp4Values[16] = {
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_BLOCKS_H_
