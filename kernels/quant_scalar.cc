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

// Runs product(row, activations) for every output of `args`.
template <typename Product>
void ForEachOutput(const MatmulArgs& args, Product product) {
  for (std::size_t t = 0; t < args.tokens; ++t) {
    const std::byte* record = args.activations + t * args.activation_stride;
    float* y = args.y + t * args.y_stride;
    for (std::size_t r = args.row_begin; r < args.row_end; ++r) {
      y[r] = product(args.weights + r * args.row_bytes, record);
    }
  }
}

std::int32_t Dot(const std::int8_t* w, const std::int8_t* q, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += w[i] * q[i];
  return sum;
}

template <typename Codec>
float Product32(const std::byte* row, const std::byte* record,
                std::size_t columns) {
  const Q8x32Layout layout(columns);
  const auto* block = Blocks<typename Codec::Block>(row);
  const auto* q = Part<std::int8_t>(record, 0);
  const auto* scales = Part<float>(record, layout.scales);
  const auto* scaled_sums = Part<float>(record, layout.scaled_sums);
  float acc = 0.0F;
  for (std::size_t b = 0; b < columns / kBlock; ++b) {
    std::int8_t w[kBlock];
    Codec::Weights(block[b], w);
    const auto dot = static_cast<float>(Dot(w, q + b * kBlock, kBlock));
    acc = __builtin_fmaf(Codec::Scale(block[b]) * scales[b], dot, acc);
    if constexpr (Codec::kHasMin) {
      acc = __builtin_fmaf(Codec::Min(block[b]), scaled_sums[b], acc);
    }
  }
  return acc;
}

template <typename Codec>
float Product256(const std::byte* row, const std::byte* record,
                 std::size_t columns) {
  const Q8x256Layout layout(columns);
  const auto* block = Blocks<typename Codec::Block>(row);
  const auto* q = Part<std::int8_t>(record, 0);
  const auto* scales = Part<float>(record, layout.scales);
  const auto* sums = Part<std::int16_t>(record, layout.sums16);
  float acc = 0.0F;
  for (std::size_t b = 0; b < columns / kSuperBlock; ++b) {
    Unpacked unpacked;
    Codec::Unpack(block[b], unpacked);
    std::int32_t dot = 0;
    std::int32_t min_dot = 0;
    for (std::size_t s = 0; s < 16; ++s) {
      dot += unpacked.scales[s] *
             Dot(unpacked.w + 16 * s, q + b * kSuperBlock + 16 * s, 16);
      if constexpr (Codec::kHasMin) {
        min_dot += unpacked.mins[s] * sums[16 * b + s];
      }
    }
    acc = __builtin_fmaf(HalfToFloat(block[b].d) * scales[b],
                         static_cast<float>(dot), acc);
    if constexpr (Codec::kHasMin) {
      acc = __builtin_fmaf(-(HalfToFloat(block[b].dmin) * scales[b]),
                           static_cast<float>(min_dot), acc);
    }
  }
  return acc;
}

template <typename Codec>
void Matmul32(const MatmulArgs& args) {
  ForEachOutput(args, [&](const std::byte* row, const std::byte* record) {
    return Product32<Codec>(row, record, args.columns);
  });
}

template <typename Codec>
void Matmul256(const MatmulArgs& args) {
  ForEachOutput(args, [&](const std::byte* row, const std::byte* record) {
    return Product256<Codec>(row, record, args.columns);
  });
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

void Quantize32(const float* x, std::size_t n, std::byte* out) {
  const Q8x32Layout layout(n);
  auto* q = reinterpret_cast<std::int8_t*>(out);
  auto* scales = reinterpret_cast<float*>(out + layout.scales);
  auto* sums = reinterpret_cast<std::int32_t*>(out + layout.sums);
  auto* scaled_sums = reinterpret_cast<float*>(out + layout.scaled_sums);
  for (std::size_t b = 0; b < n / kBlock; ++b) {
    scales[b] = QuantizeBlock(x + b * kBlock, kBlock, q + b * kBlock);
    sums[b] = Sum(q + b * kBlock, kBlock);
    scaled_sums[b] = scales[b] * static_cast<float>(sums[b]);
  }
}

void Quantize256(const float* x, std::size_t n, std::byte* out) {
  const Q8x256Layout layout(n);
  auto* q = reinterpret_cast<std::int8_t*>(out);
  auto* scales = reinterpret_cast<float*>(out + layout.scales);
  auto* sums16 = reinterpret_cast<std::int16_t*>(out + layout.sums16);
  auto* sums32 = reinterpret_cast<std::int16_t*>(out + layout.sums32);
  for (std::size_t b = 0; b < n / kSuperBlock; ++b) {
    const std::size_t first = b * kSuperBlock;
    scales[b] = QuantizeBlock(x + first, kSuperBlock, q + first);
  }
  for (std::size_t i = 0; i < n / 16; ++i) {
    sums16[i] = static_cast<std::int16_t>(Sum(q + 16 * i, 16));
  }
  for (std::size_t i = 0; i < n / 32; ++i) {
    sums32[i] = static_cast<std::int16_t>(sums16[2 * i] + sums16[2 * i + 1]);
  }
}

template <typename Codec>
void Add32(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = Matmul32<Codec>;
  table.dequantize[static_cast<std::size_t>(type)] = Dequantize32<Codec>;
}

template <typename Codec>
void Add256(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = Matmul256<Codec>;
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
  table.quantize[static_cast<std::size_t>(ActivationFormat::kQ8x32)] =
      Quantize32;
  table.quantize[static_cast<std::size_t>(ActivationFormat::kQ8x256)] =
      Quantize256;
}

}  // namespace sluice::kernels
