// The rows8 weight layout: eight rows of quantised weights rearranged so that
// the lanes of a vector are rows. Reference of storage/FORMAT.md section 9.
//
// The eight blocks at one block column of rows 8g .. 8g + 7 become one group
// block of eight times the type's block bytes. A row group is its group blocks
// in order of columns, a matrix its row groups in order; there is no padding.
// So a matrix has as many bytes as it has in rows, and row group g begins at
// 8 g row_bytes. The bits are those of the blocks of kernels/quant_blocks.h,
// only in other places.
//
// A group block is a run of fields. A field cuts the bytes that it takes from
// each block into units of 1, 2 or 4 bytes and holds unit 0 of rows 0 .. 7,
// then unit 1 of rows 0 .. 7, and so on:
//
//   unit u of row r is at  offset + (8 u + r) unit_bytes
//
// A 2-byte unit is one binary16 of every row (16 bytes). A 4-byte unit is four
// neighbouring bytes of every row (32 bytes): where these are quantised weights
// each lane has four weights of one row, to be multiplied with the same four
// activations in every lane (vpdpbusd, vpmaddubsw, NEON sdot), and sums stay in
// their lane. Packed six-bit scales lie four to a lane as well. One exception
// to whole bytes, marked with a star below, saves work on every use:
//
//   qh*        bit 4 k + i of a row's 32 fifth bits, which belongs to weight
//              4 k + i, is bit 8 i + k: a shift brings those of the four
//              weights 4 k .. 4 k + 3 to the same place of each byte
//   scales_h*  the two bits of scale i are bits 2 (i / 2) + 8 (i % 2) and on
//   scales_l*  the nibble of scale i is at bit 8 (i % 4) + 4 (i / 4)
//
//   type    bytes  fields: name[units] of bytes per unit @ offset
//   Q8_0      272  d[1] of 2 @ 0, q[8] of 4 @ 16
//   Q4_0      144  d[1] of 2 @ 0, qs[4] of 4 @ 16
//   Q4_1      160  d[1] of 2 @ 0, m[1] of 2 @ 16, qs[4] of 4 @ 32
//   Q5_0      176  d[1] of 2 @ 0, qh*[1] of 4 @ 16, qs[4] of 4 @ 48
//   Q5_1      192  d[1] of 2 @ 0, m[1] of 2 @ 16, qh*[1] of 4 @ 32,
//                  qs[4] of 4 @ 64
//   IQ4_NL    144  d[1] of 2 @ 0, qs[4] of 4 @ 16
//   MXFP4     136  e[1] of 1 @ 0, qs[4] of 4 @ 8
//   Q2_K      672  d[1] of 2 @ 0, dmin[1] of 2 @ 16, scales[4] of 4 @ 32,
//                  qs[16] of 4 @ 160
//   Q3_K      880  d[1] of 2 @ 0, scales[3] of 4 @ 16, hmask[8] of 4 @ 112,
//                  qs[16] of 4 @ 368
//   Q4_K     1152  d[1] of 2 @ 0, dmin[1] of 2 @ 16, scales[3] of 4 @ 32,
//                  qs[32] of 4 @ 128
//   Q5_K     1408  d[1] of 2 @ 0, dmin[1] of 2 @ 16, scales[3] of 4 @ 32,
//                  qh[8] of 4 @ 128, qs[32] of 4 @ 384
//   Q6_K     1680  d[1] of 2 @ 0, scales[4] of 4 @ 16, qh[16] of 4 @ 144,
//                  ql[32] of 4 @ 656
//   PLANE2    656  d[1] of 2 @ 0, scales[4] of 4 @ 16, qs[16] of 4 @ 144
//   residual  528  d[1] of 2 @ 0, qs[16] of 4 @ 16 (kernels/planes.h)
//   IQ4_XS   1088  d[1] of 2 @ 0, scales_h*[1] of 2 @ 16,
//                  scales_l*[1] of 4 @ 32, qs[32] of 4 @ 64
//   TQ1_0     432  d[1] of 2 @ 0, qh[1] of 4 @ 16, qs[12] of 4 @ 48
//   TQ2_0     528  d[1] of 2 @ 0, qs[16] of 4 @ 16
//
// Thread safety: functions write only their outputs.
#ifndef SLUICE_KERNELS_ROWS8_H_
#define SLUICE_KERNELS_ROWS8_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace sluice::kernels {

// Rows of a group.
inline constexpr std::size_t kRows8 = 8;

// Whether weights of `type` have this layout: every quantised type does.
bool HasRows8(WeightType type);

// Rearranges `row_count` rows of `columns` weights, `row_bytes` apart, into
// out; out gets row_count rows without padding.
// REQUIRES: HasRows8(type), row_count is a multiple of 8, columns of the type's
// block, and neither memory overlaps the other.
void InterleaveRows8(WeightType type, const std::byte* rows,
                     std::size_t row_bytes, std::size_t row_count,
                     std::size_t columns, std::byte* out);
// The inverse: `rows` is what InterleaveRows8 wrote to `out`. Bytes between
// rows are left alone.
void DeinterleaveRows8(WeightType type, const std::byte* interleaved,
                       std::size_t row_bytes, std::size_t row_count,
                       std::size_t columns, std::byte* rows);

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_H_
