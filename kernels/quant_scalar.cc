// Quantised products, dequantisation and activation quantisation in plain C++:
// the definition that the other instruction sets are compared with.
#include <bit>
#include <cstdint>

#include "kernels/activations.h"
#include "kernels/isa_parts.h"
#include "kernels/quant_codecs_scalar.h"

namespace sluice::kernels {
namespace {

template <typename Block>
const Block* Blocks(const std::byte* row) {
  return reinterpret_cast<const Block*>(row);
}

template <typename T>
const T* Part(const std::byte* record, std::size_t offset) {
  return reinterpret_cast<const T*>(record + offset);
}

std::int32_t Dot(const std::int8_t* w, const std::int8_t* q, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += w[i] * q[i];
  return sum;
}

// Tokens that share one unpacking of the weights.
constexpr std::size_t kTile = 8;

// One row times `tokens` <= kTile tokens from `record` on, added to acc.
template <typename Codec>
void Row32(const MatmulArgs& args, const std::byte* row,
           const std::byte* record, std::size_t tokens, float* acc) {
  const Q8x32Layout layout(args.columns);
  const auto* block = Blocks<typename Codec::Block>(row);
  for (std::size_t b = 0; b < args.columns / kBlock; ++b) {
    std::int8_t w[kBlock];
    Codec::Weights(block[b], w);
    const float scale = Codec::Scale(block[b]);
    const std::byte* token = record;
    for (std::size_t t = 0; t < tokens; ++t, token += args.activation_stride) {
      const auto* q = Part<std::int8_t>(token, b * kBlock);
      const float token_scale = Part<float>(token, layout.scales)[b];
      acc[t] = __builtin_fmaf(scale * token_scale,
                              static_cast<float>(Dot(w, q, kBlock)), acc[t]);
      if constexpr (Codec::kHasMin) {
        const float scaled_sum = Part<float>(token, layout.scaled_sums)[b];
        acc[t] = __builtin_fmaf(Codec::Min(block[b]), scaled_sum, acc[t]);
      }
    }
  }
}

// Sums over the sub-blocks of a superblock, of scale * (w . q) and of
// minimum * (sum of q).
struct SuperSums {
  std::int32_t dot = 0;
  std::int32_t min = 0;
};
template <typename Codec>
SuperSums SumSubBlocks(const Unpacked& unpacked, const std::int8_t* q,
                       const std::int16_t* sums) {
  SuperSums total;
  for (std::size_t s = 0; s < 16; ++s) {
    total.dot += unpacked.scales[s] * Dot(unpacked.w + 16 * s, q + 16 * s, 16);
    if constexpr (Codec::kHasMin) total.min += unpacked.mins[s] * sums[s];
  }
  return total;
}

// As Row32.
template <typename Codec>
void Row256(const MatmulArgs& args, const std::byte* row,
            const std::byte* record, std::size_t tokens, float* acc) {
  const Q8x256Layout layout(args.columns);
  const auto* block = Blocks<typename Codec::Block>(row);
  for (std::size_t b = 0; b < args.columns / kSuperBlock; ++b) {
    Unpacked unpacked;
    Codec::Unpack(block[b], unpacked);
    const float d = HalfToFloat(block[b].d);
    const std::byte* token = record;
    for (std::size_t t = 0; t < tokens; ++t, token += args.activation_stride) {
      const float token_scale = Part<float>(token, layout.scales)[b];
      const SuperSums sums = SumSubBlocks<Codec>(
          unpacked, Part<std::int8_t>(token, b * kSuperBlock),
          Part<std::int16_t>(token, layout.sums16) + 16 * b);
      acc[t] =
          __builtin_fmaf(d * token_scale, static_cast<float>(sums.dot), acc[t]);
      if constexpr (Codec::kHasMin) {
        const float min_scale = HalfToFloat(block[b].dmin) * token_scale;
        acc[t] =
            __builtin_fmaf(-min_scale, static_cast<float>(sums.min), acc[t]);
      }
    }
  }
}

using RowFn = void (*)(const MatmulArgs&, const std::byte*, const std::byte*,
                       std::size_t, float*);

template <RowFn kRow>
void Matmul(const MatmulArgs& args) {
  for (std::size_t r = args.row_begin; r < args.row_end; ++r) {
    for (std::size_t t = 0; t < args.tokens; t += kTile) {
      const std::size_t left = args.tokens - t;
      const std::size_t tokens = left < kTile ? left : kTile;
      float acc[kTile] = {};
      kRow(args, args.weights + r * args.row_bytes,
           args.activations + t * args.activation_stride, tokens, acc);
      for (std::size_t i = 0; i < tokens; ++i) {
        args.y[(t + i) * args.y_stride + r] = acc[i];
      }
    }
  }
}

template <typename Codec>
void Dequantize32(const std::byte* row, std::size_t n, float* out) {
  const auto* block = Blocks<typename Codec::Block>(row);
  for (std::size_t b = 0; b < n / kBlock; ++b) {
    std::int8_t w[kBlock];
    Codec::Weights(block[b], w);
    const float scale = Codec::Scale(block[b]);
    for (std::size_t i = 0; i < kBlock; ++i) {
      float value = static_cast<float>(w[i]) * scale;
      if constexpr (Codec::kHasMin) value += Codec::Min(block[b]);
      out[b * kBlock + i] = value;
    }
  }
}

template <typename Codec>
void Dequantize256(const std::byte* row, std::size_t n, float* out) {
  const auto* block = Blocks<typename Codec::Block>(row);
  for (std::size_t b = 0; b < n / kSuperBlock; ++b) {
    Unpacked unpacked;
    Codec::Unpack(block[b], unpacked);
    const float d = HalfToFloat(block[b].d);
    for (std::size_t i = 0; i < kSuperBlock; ++i) {
      const float scale = d * static_cast<float>(unpacked.scales[i / 16]);
      float value = scale * static_cast<float>(unpacked.w[i]);
      if constexpr (Codec::kHasMin) {
        value -= HalfToFloat(block[b].dmin) *
                 static_cast<float>(unpacked.mins[i / 16]);
      }
      out[b * kSuperBlock + i] = value;
    }
  }
}

// Quantises n values as kernels/activations.h defines it; returns the scale.
float QuantizeBlock(const float* x, std::size_t n, std::int8_t* q) {
  // Magnitudes as bits: their order is that of the values, with NaN on top.
  std::uint32_t max_bits = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFFU;
    max_bits = bits > max_bits ? bits : max_bits;
  }
  const auto max = std::bit_cast<float>(max_bits);
  const bool finite = max_bits < 0x7F800000U;
  if (!finite || max < 0x1p-100F) {
    for (std::size_t i = 0; i < n; ++i) q[i] = 0;
    return finite ? 0.0F : __builtin_nanf("");
  }
  const float inverse = 127.0F / max;
  // Adding 1.5 * 2^23 rounds to an integer, nearest even, in the low bits.
  constexpr float kRound = 12582912.0F;
  for (std::size_t i = 0; i < n; ++i) {
    const float rounded = x[i] * inverse + kRound;
    q[i] = static_cast<std::int8_t>(std::bit_cast<std::uint32_t>(rounded));
  }
  return max / 127.0F;
}

std::int32_t Sum(const std::int8_t* q, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += q[i];
  return sum;
}

// Quantises block b of a record of n values.
void Quantize32At(const float* x, std::size_t b, std::size_t n,
                  std::byte* out) {
  const Q8x32Layout layout(n);
  auto* q = reinterpret_cast<std::int8_t*>(out) + b * kBlock;
  const float scale = QuantizeBlock(x, kBlock, q);
  const std::int32_t sum = Sum(q, kBlock);
  reinterpret_cast<float*>(out + layout.scales)[b] = scale;
  reinterpret_cast<std::int32_t*>(out + layout.sums)[b] = sum;
  reinterpret_cast<float*>(out + layout.scaled_sums)[b] =
      scale * static_cast<float>(sum);
}

void Quantize256At(const float* x, std::size_t b, std::size_t n,
                   std::byte* out) {
  const Q8x256Layout layout(n);
  auto* q = reinterpret_cast<std::int8_t*>(out) + b * kSuperBlock;
  auto* sums16 = reinterpret_cast<std::int16_t*>(out + layout.sums16) + 16 * b;
  auto* sums32 = reinterpret_cast<std::int16_t*>(out + layout.sums32) + 8 * b;
  reinterpret_cast<float*>(out + layout.scales)[b] =
      QuantizeBlock(x, kSuperBlock, q);
  for (std::size_t i = 0; i < 16; ++i) {
    sums16[i] = static_cast<std::int16_t>(Sum(q + 16 * i, 16));
  }
  for (std::size_t i = 0; i < 8; ++i) {
    sums32[i] = static_cast<std::int16_t>(sums16[2 * i] + sums16[2 * i + 1]);
  }
}

// What quantising block b of a record lost.
void Residual(const float* x, std::size_t b, std::size_t block, float scale,
              const std::byte* record, float* lost) {
  const auto* q = reinterpret_cast<const std::int8_t*>(record) + b * block;
  for (std::size_t i = 0; i < block; ++i) {
    lost[i] = __builtin_fmaf(-scale, static_cast<float>(q[i]), x[i]);
  }
}

void Quantize32(const float* x, std::size_t n, std::byte* out) {
  for (std::size_t b = 0; b < n / kBlock; ++b) {
    Quantize32At(x + b * kBlock, b, n, out);
  }
}

void Quantize256(const float* x, std::size_t n, std::byte* out) {
  for (std::size_t b = 0; b < n / kSuperBlock; ++b) {
    Quantize256At(x + b * kSuperBlock, b, n, out);
  }
}

void QuantizeFine32(const float* x, std::size_t n, std::byte* out,
                    std::byte* lost) {
  const auto* scales = reinterpret_cast<float*>(out + Q8x32Layout(n).scales);
  float left[kBlock];
  for (std::size_t b = 0; b < n / kBlock; ++b) {
    Quantize32At(x + b * kBlock, b, n, out);
    Residual(x + b * kBlock, b, kBlock, scales[b], out, left);
    Quantize32At(left, b, n, lost);
  }
}

void QuantizeFine256(const float* x, std::size_t n, std::byte* out,
                     std::byte* lost) {
  const auto* scales = reinterpret_cast<float*>(out + Q8x256Layout(n).scales);
  float left[kSuperBlock];
  for (std::size_t b = 0; b < n / kSuperBlock; ++b) {
    Quantize256At(x + b * kSuperBlock, b, n, out);
    Residual(x + b * kSuperBlock, b, kSuperBlock, scales[b], out, left);
    Quantize256At(left, b, n, lost);
  }
}

template <typename Codec>
void Add32(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = Matmul<Row32<Codec>>;
  table.dequantize[static_cast<std::size_t>(type)] = Dequantize32<Codec>;
}

template <typename Codec>
void Add256(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = Matmul<Row256<Codec>>;
  table.dequantize[static_cast<std::size_t>(type)] = Dequantize256<Codec>;
}

}  // namespace

void AddQuantScalar(KernelTable& table) {
  Add32<CodecQ8_0>(table, WeightType::kQ8_0);
  Add32<CodecQ4_0>(table, WeightType::kQ4_0);
  Add32<CodecQ4_1>(table, WeightType::kQ4_1);
  Add32<CodecQ5_0>(table, WeightType::kQ5_0);
  Add32<CodecQ5_1>(table, WeightType::kQ5_1);
  Add32<CodecIQ4_NL>(table, WeightType::kIQ4_NL);
  Add32<CodecMXFP4>(table, WeightType::kMXFP4);
  Add256<CodecQ2_K>(table, WeightType::kQ2_K);
  Add256<CodecQ3_K>(table, WeightType::kQ3_K);
  Add256<CodecQ4_K>(table, WeightType::kQ4_K);
  Add256<CodecQ5_K>(table, WeightType::kQ5_K);
  Add256<CodecQ6_K>(table, WeightType::kQ6_K);
  Add256<CodecIQ4_XS>(table, WeightType::kIQ4_XS);
  Add256<CodecTQ1_0>(table, WeightType::kTQ1_0);
  Add256<CodecTQ2_0>(table, WeightType::kTQ2_0);
  Add256<CodecPlane2>(table, WeightType::kPlane2);
  table.quantize[static_cast<std::size_t>(ActivationFormat::kQ8x32)] =
      Quantize32;
  table.quantize[static_cast<std::size_t>(ActivationFormat::kQ8x256)] =
      Quantize256;
  table.quantize_fine[static_cast<std::size_t>(ActivationFormat::kQ8x32)] =
      QuantizeFine32;
  table.quantize_fine[static_cast<std::size_t>(ActivationFormat::kQ8x256)] =
      QuantizeFine256;
}

}  // namespace sluice::kernels
