// KernelTable: every arithmetic routine of the engine as a table of function
// pointers, one table per instruction set, chosen once at start.
//
// Numerics are a declared property. Every operation here is defined as an exact
// sequence of float operations (given with the operation), with fused
// multiply-add where it says fma, and all instruction sets follow it: a table's
// results are BIT-IDENTICAL to the scalar table's, and do not depend on how
// many tokens or rows are computed together or by whom.
//
// Below, "lanes" are sixteen partial results: value i belongs to lane i mod 16,
// and each lane is taken over its values in ascending order. sum16 of lanes is
// this tree of additions: lanes i and i + 8, of the eight results i and i + 4,
// then i and i + 2, then the last two. max16 is the greatest value. Where the
// number of values is no multiple of 16, the missing ones are zeros in sums and
// -infinity in maxima. e^x is a polynomial of fixed form, within one ulp of the
// exact value (kernels/vector_ops_impl.h). Square roots and quotients are
// rounded correctly, subnormals are kept. A result that is NaN on one
// instruction set is NaN on all, of unspecified sign and payload.
//
// No allocation, no threads, no input or output, no state.
//
// Thread safety: tables are immutable; functions write only their outputs.
#ifndef SLUICE_KERNELS_KERNEL_TABLE_H_
#define SLUICE_KERNELS_KERNEL_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::kernels {

// Weight types, numbered as in GGUF (storage/tensor_type.h has the same
// numbers; the two folders do not include each other, a test compares them).
enum class WeightType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kPlane2 = 60,  // of containers alone: the base plane (kernels/planes.h)
};
inline constexpr std::size_t kWeightTypeLimit = 61;

// How the activations of a product are stored.
enum class ActivationFormat : std::uint8_t {
  kF32,     // plain floats: for F32, F16 and BF16 weights
  kQ8x32,   // int8 in blocks of 32 with an f32 scale: 32-weight block types
  kQ8x256,  // int8 in blocks of 256 with an f32 scale: K types, IQ4_XS, TQ
};
inline constexpr std::size_t kActivationFormats = 3;

// The format that the weights of `type` are multiplied with.
ActivationFormat FormatFor(WeightType type);
// Bytes of one token's activations of `columns` values; a multiple of 64.
// REQUIRES: columns is a multiple of the format's block.
std::size_t ActivationBytes(ActivationFormat format, std::size_t columns);

// y[t * y_stride + r] = dot(weights row r, activations of token t), for r in
// [row_begin, row_end) and t in [0, tokens).
// F32, F16 and BF16: sum16 of lane = fma(w, x, lane) from zero, w widened to
// float.
struct MatmulArgs {
  const std::byte* weights = nullptr;  // row 0; rows are row_bytes apart
  std::size_t row_bytes = 0;
  std::size_t columns = 0;  // a multiple of the type's block
  std::size_t row_begin = 0;
  std::size_t row_end = 0;
  const std::byte* activations = nullptr;  // of token 0, in FormatFor(type)
  std::size_t activation_stride = 0;       // bytes between tokens
  std::size_t tokens = 1;
  float* y = nullptr;
  std::size_t y_stride = 0;  // floats between tokens
  // Only for matmul_planes: row group 0 of the residual plane.
  const std::byte* residual = nullptr;
  // Weights that will be read after these rows, to be asked for while the last
  // of these are computed; may be null, and nothing is read there.
  const std::byte* next = nullptr;
};
using MatmulFn = void (*)(const MatmulArgs&);

// How a row, one head's key or value at one position, is stored.
enum class KvFormat : std::uint8_t {
  kF16,  // f16[n]
  kQ8,   // int8[n] in blocks of kKvBlock, zeros up to a whole one, and then an
         // f32 scale for each: a value is float(int8) * scale, rounded
};
inline constexpr std::size_t kKvBlock = 32;
// Where the scales of a kQ8 row of n values begin.
constexpr std::size_t KvScalesOffset(std::size_t n) {
  return (n + kKvBlock - 1) / kKvBlock * kKvBlock;
}
// Bytes of a row of n values; a multiple of 4.
constexpr std::size_t KvRowBytes(KvFormat format, std::size_t n) {
  if (format == KvFormat::kF16) return n * sizeof(std::uint16_t);
  const std::size_t scales = KvScalesOffset(n);
  return scales + scales / kKvBlock * sizeof(float);
}

// Keys are kept by groups of this many positions, one dimension of all after
// the other, so that a group's scores are the lanes of a register:
// f16[n, kKeyGroup]; or int8[n up to a whole block, kKeyGroup] and then a scale
// for each block, f32[blocks, kKeyGroup]. A group has the bytes of its rows.
inline constexpr std::size_t kKeyGroup = 16;

// Attention of a run of queries and one K/V head: `group` query heads share it,
// and query i of `queries` sees the positions before
// end = length - (queries - 1 - i), of these the last `window` ones. Online
// softmax (Milakov & Gimelshein 2018) over fixed blocks of kAttentionBlock
// positions counted from position 0, so that a query's result depends on its
// own inputs and on nothing that is computed with it. For each query and head,
// starting from max = -infinity, sum = 0 and acc = 0, block by block, p a
// position of the block that the query sees and d a dimension:
//   s[p] = scale * (s = fma(k[p][d], q[d], s) in order of d, from 0), where 8
//     bits take each block of d alone, as integers, and s = fma(its sum, scale
//     of the block, s)
//   m = max(max, all s); e[p] = e^(s[p] - m); shrink = e^(max - m)
//   sum = sum * shrink + sum16(lane p mod 16 = lane + e[p]); max = m
//   acc[d] = fma(e[p], v[p][d], acc[d]) in order of p, from acc[d] * shrink
// and at the end out[d] = acc[d] / sum.
// A row of K or V is read from memory once for up to kAttentionRows queries and
// heads. Reading is fastest where the rows of a K/V head follow each other
// (kv_stride = KvRowBytes): rows a multiple of 4 KiB apart compete for the same
// cache sets.
inline constexpr std::size_t kAttentionBlock = 64;
inline constexpr std::size_t kAttentionRows = 16;
struct AttentionArgs {
  const float* q = nullptr;  // [queries, group, head_dim], already roped
  std::size_t queries = 1;
  std::size_t query_stride = 0;  // floats between queries of q and of out
  std::size_t group = 1;
  std::size_t head_dim = 0;  // multiple of 16, at most 512
  KvFormat format = KvFormat::kF16;
  // Position p is row r = p mod ring: of v at r * kv_stride, of k at place r
  // mod kKeyGroup of the group at (r - r mod kKeyGroup) * kv_stride.
  const std::byte* k = nullptr;
  const std::byte* v = nullptr;
  std::size_t kv_stride = 0;  // bytes, a multiple of 4, at least KvRowBytes
  // Rows that there are: all positions up to a whole group, or a multiple of
  // kAttentionBlock that is no less than the positions from the first that is
  // seen to the last.
  std::size_t ring = SIZE_MAX;
  std::size_t length = 0;         // of the last query; at least `queries`
  std::size_t window = SIZE_MAX;  // at least 1
  float scale = 1.0F;             // of q.k, normally 1/sqrt(head_dim)
  float* out = nullptr;           // [queries, group, head_dim]
  // Bytes from k and v to those that are attended to next, in the same
  // positions, which are asked for with the last block; 0: none are.
  std::size_t next = 0;
};

struct KernelTable {
  // "scalar"; "avx2", "avx512"; "neon", "dotprod", "i8mm".
  std::string_view name;

  // Indexed by WeightType; null where there is no such type.
  MatmulFn matmul[kWeightTypeLimit] = {};
  // As matmul, and with results identical to the bit, for weights that
  // InterleaveRows8 has rearranged (kernels/rows8.h); null where there is no
  // such layout. `weights` is row group 0, `row_bytes` the bytes of a row
  // without padding, and row_begin and row_end are multiples of 8.
  MatmulFn matmul_rows8[kWeightTypeLimit] = {};
  // As matmul_rows8 for both planes of nested weights (kernels/planes.h):
  // `weights` and `row_bytes` are the base plane's.
  MatmulFn matmul_planes = nullptr;
  // Indexed by WeightType: n weights of a row to floats. `n` is a multiple of
  // the type's block. Exact: the value that the format defines, in float.
  void (*dequantize[kWeightTypeLimit])(const std::byte* row, std::size_t n,
                                       float* out) = {};
  // Indexed by ActivationFormat: one token's activations. kF32 copies.
  void (*quantize[kActivationFormats])(const float* x, std::size_t n,
                                       std::byte* out) = {};
  // Indexed by ActivationFormat, null for kF32: as quantize, and what that lost
  // as a second record: the values fma(-scale of i's block, float(q[i]), x[i]),
  // quantised in turn. The two together follow x with about 15 bits.
  void (*quantize_fine[kActivationFormats])(const float* x, std::size_t n,
                                            std::byte* out,
                                            std::byte* lost) = {};

  // A superblock of nested weights (kernels/planes.h) close to x [256], where
  // an error in column i costs importance[i]: a block of each plane, in rows.
  void (*fit_planes)(const float* x, const float* importance, std::byte* base,
                     std::byte* residual) = nullptr;

  // y = x * weight / sqrt(mean(x^2) + eps), n values (Zhang & Sennrich 2019):
  // scale = 1 / sqrt(sum16(lane = fma(x, x, lane)) / n + eps),
  // y = (x * scale) * weight. y may be x.
  void (*rms_norm)(const float* x, const float* weight, std::size_t n,
                   float eps, float* y) = nullptr;
  // Rotates pairs (a, b) = (x[i], x[i + n/2]) by the angle whose cosine and
  // sine are cos[i], sin[i], i < n/2: the NeoX form of rotary embedding (Su et
  // al. 2021). a' = fma(a, cos, -(b * sin)), b' = fma(b, cos, a * sin). n is
  // even.
  void (*rope_neox)(float* x, std::size_t n, const float* cos,
                    const float* sin) = nullptr;
  // In place: x = e^(x - max16(x)) / sum16 of these. -infinity gives 0; NaN
  // everywhere if all are -infinity.
  void (*softmax)(float* x, std::size_t n) = nullptr;
  // y = silu(gate) * up = (gate / (1 + e^-gate)) * up; y may be gate or up
  // (Shazeer 2020).
  void (*swiglu)(const float* gate, const float* up, std::size_t n,
                 float* y) = nullptr;
  // y = max(0, gate) * up, with max(0, -0) = -0; y may be gate or up (Shazeer
  // 2020).
  void (*reglu)(const float* gate, const float* up, std::size_t n,
                float* y) = nullptr;
  // y = y + x.
  void (*add)(const float* x, std::size_t n, float* y) = nullptr;
  // y = fma(scale, x, y).
  void (*axpy)(float scale, const float* x, std::size_t n, float* y) = nullptr;
  // To nearest, ties to even; subnormals are kept, what is too large becomes
  // infinity, and a NaN becomes quiet and keeps the upper bits of its payload.
  void (*to_f16)(const float* x, std::size_t n, std::uint16_t* y) = nullptr;
  void (*attention)(const AttentionArgs&) = nullptr;

  // Two routines that compute nothing of use: the bounds that products are
  // measured against, as fast as this instruction set goes.
  // Reads `bytes` bytes (at least 256), asking for those `ahead` bytes further
  // on, or at 0 leaving that to the processor; the result depends on all of
  // them.
  std::uint64_t (*read_peak)(const std::byte* data, std::size_t bytes,
                             std::size_t ahead) = nullptr;
  // The same with registers of half the size, which some processors read faster
  // with; null where the instruction set has none.
  std::uint64_t (*read_peak_narrow)(const std::byte* data, std::size_t bytes,
                                    std::size_t ahead) = nullptr;
  // Int8 multiply-accumulates in registers, from 128 bytes at `data`. Returns
  // how many; `sink` gets a value that depends on all of them.
  std::uint64_t (*multiply_peak)(const std::byte* data, std::uint64_t rounds,
                                 std::uint64_t* sink) = nullptr;
};

// What the processor and operating system support. A value, so that tests can
// ask for any combination.
struct CpuFeatures {
  bool avx2_fma_f16c = false;
  bool avx512 = false;  // F, BW, VL, DQ
  bool avx512_vnni = false;
  bool neon = false;
  bool dotprod = false;  // Armv8.2's sdot
  bool i8mm = false;     // Armv8.6's smmla
};
CpuFeatures DetectCpuFeatures();

// Tables that run on `features`, best first; never empty (scalar is last).
std::span<const KernelTable* const> AvailableTables(
    const CpuFeatures& features);
// The table called `name` if it runs on `features`; null otherwise.
const KernelTable* FindTable(const CpuFeatures& features,
                             std::string_view name);

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_KERNEL_TABLE_H_
