// Products of rows8 weights in plain C++: a group block is put back into its
// eight blocks, which are multiplied as rows are.
#include <array>
#include <cstdint>

#include "kernels/activations.h"
#include "kernels/isa_parts.h"
#include "kernels/quant_codecs_scalar.h"
#include "kernels/rows8.h"
#include "kernels/rows8_moves.h"
#include "kernels/rows8_parts.h"

namespace sluice::kernels {
namespace {

// Tokens that share one unpacking of the weights.
constexpr std::size_t kTile = 8;

template <typename T>
const T* Part(const std::byte* record, std::size_t offset) {
  return reinterpret_cast<const T*>(record + offset);
}

std::int32_t Dot(const std::int8_t* w, const std::int8_t* q, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += w[i] * q[i];
  return sum;
}

// Types with blocks of 32: a block unpacked, and its product with one token's
// block b added to acc.
template <typename Codec>
struct Plain {
  using Block = typename Codec::Block;
  using Layout = Q8x32Layout;
  static constexpr std::size_t kWeights = kBlock;

  explicit Plain(const Block& block) : scale(Codec::Scale(block)) {
    Codec::Weights(block, w);
    if constexpr (Codec::kHasMin) min = Codec::Min(block);
  }
  float Add(const Layout& layout, const std::byte* token, std::size_t b,
            float acc) const {
    const auto* q = Part<std::int8_t>(token, b * kBlock);
    const float token_scale = Part<float>(token, layout.scales)[b];
    acc = __builtin_fmaf(scale * token_scale,
                         static_cast<float>(Dot(w, q, kBlock)), acc);
    if constexpr (Codec::kHasMin) {
      acc = __builtin_fmaf(min, Part<float>(token, layout.scaled_sums)[b], acc);
    }
    return acc;
  }

  std::int8_t w[kBlock];
  float scale;
  float min = 0.0F;
};

// As Plain for the K types and IQ4_XS.
template <typename Codec>
struct Super {
  using Block = typename Codec::Block;
  using Layout = Q8x256Layout;
  static constexpr std::size_t kWeights = kSuperBlock;

  explicit Super(const Block& block) : d(HalfToFloat(block.d)) {
    Codec::Unpack(block, unpacked);
    if constexpr (Codec::kHasMin) dmin = HalfToFloat(block.dmin);
  }
  float Add(const Layout& layout, const std::byte* token, std::size_t b,
            float acc) const {
    const auto* q = Part<std::int8_t>(token, b * kSuperBlock);
    const auto* sums = Part<std::int16_t>(token, layout.sums16) + 16 * b;
    const float token_scale = Part<float>(token, layout.scales)[b];
    std::int32_t dot = 0;
    std::int32_t min = 0;
    for (std::size_t s = 0; s < 16; ++s) {
      dot += unpacked.scales[s] * Dot(unpacked.w + 16 * s, q + 16 * s, 16);
      if constexpr (Codec::kHasMin) min += unpacked.mins[s] * sums[s];
    }
    acc = __builtin_fmaf(d * token_scale, static_cast<float>(dot), acc);
    if constexpr (Codec::kHasMin) {
      acc = __builtin_fmaf(-(dmin * token_scale), static_cast<float>(min), acc);
    }
    return acc;
  }

  Unpacked unpacked;
  float d;
  float dmin = 0.0F;
};

// The row group at `group` times `tokens` <= kTile tokens from `record` on.
template <typename Kind>
void GroupTimesTile(const MatmulArgs& args, const Rows8Format& format,
                    const std::byte* group, const std::byte* record,
                    std::size_t tokens, float (&acc)[kTile][kRows8]) {
  using Block = typename Kind::Block;
  const typename Kind::Layout layout(args.columns);
  for (std::size_t b = 0; b < args.columns / Kind::kWeights; ++b) {
    Block blocks[kRows8];
    DeinterleaveBlocks(format, group + b * sizeof(blocks), sizeof(Block),
                       reinterpret_cast<std::byte*>(blocks));
    for (std::size_t r = 0; r < kRows8; ++r) {
      const Kind row(blocks[r]);
      for (std::size_t t = 0; t < tokens; ++t) {
        const std::byte* token = record + t * args.activation_stride;
        acc[t][r] = row.Add(layout, token, b, acc[t][r]);
      }
    }
  }
}

template <typename Kind, WeightType kType>
void Matmul(const MatmulArgs& args) {
  const Rows8Format& format = *FindRows8(kType);
  for (std::size_t r = args.row_begin; r < args.row_end; r += kRows8) {
    for (std::size_t t = 0; t < args.tokens; t += kTile) {
      const std::size_t left = args.tokens - t;
      const std::size_t tokens = left < kTile ? left : kTile;
      float acc[kTile][kRows8] = {};
      GroupTimesTile<Kind>(args, format, args.weights + r * args.row_bytes,
                           args.activations + t * args.activation_stride,
                           tokens, acc);
      for (std::size_t i = 0; i < tokens; ++i) {
        float* y = args.y + (t + i) * args.y_stride + r;
        for (std::size_t k = 0; k < kRows8; ++k) y[k] = acc[i][k];
      }
    }
  }
}

template <typename Kind, WeightType kType>
void Add(KernelTable& table) {
  table.matmul_rows8[static_cast<std::size_t>(kType)] = Matmul<Kind, kType>;
}

}  // namespace

void AddRows8Scalar(KernelTable& table) {
  Add<Plain<CodecQ8_0>, WeightType::kQ8_0>(table);
  Add<Plain<CodecQ4_0>, WeightType::kQ4_0>(table);
  Add<Plain<CodecQ4_1>, WeightType::kQ4_1>(table);
  Add<Plain<CodecQ5_0>, WeightType::kQ5_0>(table);
  Add<Plain<CodecQ5_1>, WeightType::kQ5_1>(table);
  Add<Plain<CodecIQ4_NL>, WeightType::kIQ4_NL>(table);
  Add<Plain<CodecMXFP4>, WeightType::kMXFP4>(table);
  Add<Super<CodecQ2_K>, WeightType::kQ2_K>(table);
  Add<Super<CodecQ3_K>, WeightType::kQ3_K>(table);
  Add<Super<CodecQ4_K>, WeightType::kQ4_K>(table);
  Add<Super<CodecQ5_K>, WeightType::kQ5_K>(table);
  Add<Super<CodecQ6_K>, WeightType::kQ6_K>(table);
  Add<Super<CodecIQ4_XS>, WeightType::kIQ4_XS>(table);
  Add<Super<CodecTQ1_0>, WeightType::kTQ1_0>(table);
  Add<Super<CodecTQ2_0>, WeightType::kTQ2_0>(table);
  Add<Super<CodecPlane2>, WeightType::kPlane2>(table);
  AddPlanesScalar(table);
}

}  // namespace sluice::kernels
