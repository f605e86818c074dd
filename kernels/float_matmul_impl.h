// Products and conversions of F32, F16 and BF16 weights, written once over a
// Vec16 type (kernels/vec16_scalar.h).
//
// Every output is one accumulator of sixteen lanes, taken over the columns in
// order and summed by V::Sum. How outputs are tiled is therefore a matter of
// speed alone.
//
// Internal to kernels/vector_*.cc; the rules on linkage are in
// kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_FLOAT_MATMUL_IMPL_H_
#define SLUICE_KERNELS_FLOAT_MATMUL_IMPL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/prefetch.h"
#include "kernels/unroll.h"

namespace sluice::kernels {
namespace {

// How weights of a type are read, one struct per type.
struct F32Weights {
  static constexpr std::size_t kBytes = 4;
  template <class V, class... Count>
  static V Load(const std::byte* p, Count... count) {
    return V::Load(p, count...);
  }
};
struct F16Weights {
  static constexpr std::size_t kBytes = 2;
  template <class V, class... Count>
  static V Load(const std::byte* p, Count... count) {
    return V::LoadF16(p, count...);
  }
};
struct Bf16Weights {
  static constexpr std::size_t kBytes = 2;
  template <class V, class... Count>
  static V Load(const std::byte* p, Count... count) {
    return V::LoadBf16(p, count...);
  }
};

// Rows that are computed together: more streams than this read slower.
constexpr std::size_t kRowGroup = 4;
// Bytes that are asked for ahead of use in each row where one token's product
// waits for memory. Measured best of 512 to 4096.
constexpr std::size_t kPrefetchBytes = 1024;

constexpr std::size_t Least(std::size_t a, std::size_t b) {
  return a < b ? a : b;
}

// As many rows as the accumulators of kTokens tokens leave registers for.
template <class V, std::size_t kTokens>
constexpr std::size_t kTileRows = Least(kRowGroup, V::kTile / kTokens);

// Outputs of kTileRows rows from `row` on and kTokens tokens from `token` on.
// Past row_end the last row is read again and its results are dropped.
template <class V, class W, std::size_t kTokens>
void MatmulTile(const MatmulArgs& args, std::size_t row, std::size_t token) {
  constexpr std::size_t kRows = kTileRows<V, kTokens>;
  const std::byte* w[kRows];
  Unroll<kRows>([&](auto r) {
    w[r] = args.weights + Least(row + r, args.row_end - 1) * args.row_bytes;
  });
  const std::byte* x[kTokens];
  Unroll<kTokens>([&](auto t) {
    x[t] = args.activations + (token + t) * args.activation_stride;
  });
  V sum[V::kTile];  // [kTokens, kRows], and zeros to the end
  Unroll<V::kTile>([&](auto i) { sum[i] = V::Zero(); });
  const auto step = [&](std::size_t column, auto... count) {
    V xs[kTokens];
    Unroll<kTokens>([&](auto t) {
      xs[t] = V::Load(x[t] + column * sizeof(float), count...);
    });
    Unroll<kRows>([&](auto r) {
      const std::byte* const p = w[r] + column * W::kBytes;
      if constexpr (kTokens == 1) PrefetchAhead(p, kPrefetchBytes);
      const V ws = W::template Load<V>(p, count...);
      Unroll<kTokens>([&](auto t) {
        V& s = sum[t * kRows + r];
        s = V::Fma(ws, xs[t], s);
      });
    });
  };
  std::size_t column = 0;
  for (; args.columns - column >= 16; column += 16) step(column);
  if (column < args.columns) step(column, args.columns - column);

  float y[V::kTile];
  V::SumTile(sum, y);
  const std::size_t rows = Least(kRows, args.row_end - row);
  for (std::size_t t = 0; t < kTokens; ++t) {
    for (std::size_t r = 0; r < rows; ++r) {
      args.y[(token + t) * args.y_stride + row + r] = y[t * kRows + r];
    }
  }
}

// One group of rows, the first of them `row`, for kTokens tokens.
template <class V, class W, std::size_t kTokens>
void MatmulGroup(const MatmulArgs& args, std::size_t row, std::size_t token) {
  const std::size_t end = Least(row + kRowGroup, args.row_end);
  for (; row < end; row += kTileRows<V, kTokens>) {
    MatmulTile<V, W, kTokens>(args, row, token);
  }
}

// Tokens in blocks whose activations stay in the second-level cache while the
// rows stream past them, a group of rows at a time for all tokens of the block.
template <class V, class W>
void Matmul(const MatmulArgs& args) {
  constexpr std::size_t kTokenBlock = 32;
  for (std::size_t block = 0; block < args.tokens; block += kTokenBlock) {
    const std::size_t end = Least(block + kTokenBlock, args.tokens);
    for (std::size_t row = args.row_begin; row < args.row_end;
         row += kRowGroup) {
      std::size_t token = block;
      for (; end - token >= 4; token += 4) {
        MatmulGroup<V, W, 4>(args, row, token);
      }
      for (; end - token >= 2; token += 2) {
        MatmulGroup<V, W, 2>(args, row, token);
      }
      if (token < end) MatmulGroup<V, W, 1>(args, row, token);
    }
  }
}

template <class V, class W>
void Dequantize(const std::byte* row, std::size_t n, float* out) {
  std::size_t i = 0;
  for (; n - i >= 16; i += 16) {
    W::template Load<V>(row + i * W::kBytes).Store(out + i);
  }
  if (i < n) {
    W::template Load<V>(row + i * W::kBytes, n - i).Store(out + i, n - i);
  }
}

inline void CopyActivations(const float* x, std::size_t n, std::byte* out) {
  __builtin_memcpy(out, x, n * sizeof(float));
}

template <class V, class W>
void AddWeightType(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = Matmul<V, W>;
  table.dequantize[static_cast<std::size_t>(type)] = Dequantize<V, W>;
}

template <class V>
void AddFloatMatmul(KernelTable& table) {
  AddWeightType<V, F32Weights>(table, WeightType::kF32);
  AddWeightType<V, F16Weights>(table, WeightType::kF16);
  AddWeightType<V, Bf16Weights>(table, WeightType::kBF16);
  table.quantize[static_cast<std::size_t>(ActivationFormat::kF32)] =
      CopyActivations;
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_FLOAT_MATMUL_IMPL_H_
