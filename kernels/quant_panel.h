// Quantised products with the lanes of a vector being rows: the drivers,
// generic over the vector type V (quant_ops_avx2.h, quant_ops_avx512.h).
//
// V::kLanes rows are computed together. A column of 16 bytes of each row is
// loaded and transposed, so that a register holds the same four weights of
// every row; unpacking nibbles and table look-ups do not care. Four activations
// broadcast to all lanes then give four products of every row, sums stay within
// lanes, and nothing is added across lanes. The per-row float operations of
// kernels/activations.h become one vector operation each, in the same order, so
// results equal the scalar ones bit for bit. Several tokens share what was
// unpacked.
//
// A last group of fewer rows is computed from a copy of its blocks with the
// last row repeated; its extra lanes are not stored.
//
// Everything here has internal linkage: each including file has flags of its
// own.
#ifndef SLUICE_KERNELS_QUANT_PANEL_H_
#define SLUICE_KERNELS_QUANT_PANEL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/activations.h"
#include "kernels/kernel_table.h"
#include "kernels/quant_blocks.h"

#define SLUICE_INLINE __attribute__((always_inline)) inline

namespace sluice::kernels {
namespace {

// The blocks at one position of V::kLanes rows.
struct RowBlocks {
  const std::uint8_t* first;
  std::size_t stride;
};

// The largest biased weight of types whose weights need all eight bits.
constexpr int kWide = 255;

// 32 weights of each row: dword k of a row is its weights 4 k .. 4 k + 3, as
// bytes with the codec's bias added.
template <typename V>
struct Panel {
  typename V::Reg w[8];
  typename V::Float d;
  typename V::Float m;
};

// The blocks at offset `at` of the rows of a group; `copy` is used where the
// group has fewer rows than lanes.
template <typename V, std::size_t kBytes>
SLUICE_INLINE RowBlocks GroupBlocks(const std::uint8_t* rows,
                                    std::size_t row_bytes, std::size_t count,
                                    std::size_t at, std::uint8_t* copy) {
  if (count == V::kLanes) return {rows + at, row_bytes};
  for (std::size_t r = 0; r < V::kLanes; ++r) {
    const std::size_t from = r < count ? r : count - 1;
    __builtin_memcpy(copy + r * kBytes, rows + from * row_bytes + at, kBytes);
  }
  return {copy, kBytes};
}

// Asks for the next group's blocks, about as fast as this group's are used. The
// rows of a group lie behind each other, so the next group's bytes are one run.
// Done once, by the first tile of tokens.
template <typename V, std::size_t kBytes>
class NextGroup {
 public:
  SLUICE_INLINE NextGroup(const MatmulArgs& args, std::size_t row,
                          std::size_t token)
      : at_(token != 0 ? 0
            : row + V::kLanes < args.row_end
                ? reinterpret_cast<std::uintptr_t>(args.weights) +
                      (row + V::kLanes) * args.row_bytes
                : reinterpret_cast<std::uintptr_t>(args.next)) {}

  SLUICE_INLINE void Prefetch(std::size_t block) const {
    if (at_ == 0) return;
    constexpr std::size_t kRun = V::kLanes * kBytes;
    for (std::size_t i = 0; i < kRun; i += 64) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): may be beyond the matrix.
      const auto* line = reinterpret_cast<const void*>(at_ + block * kRun + i);
      __builtin_prefetch(line, 0, 2);
    }
  }

 private:
  std::uintptr_t at_;
};

template <typename V, int kTokens>
SLUICE_INLINE void StoreTile(const MatmulArgs& args, std::size_t row,
                             std::size_t count, std::size_t token,
                             const typename V::Float (&acc)[kTokens]) {
  for (int t = 0; t < kTokens; ++t) {
    const std::size_t at =
        (token + static_cast<std::size_t>(t)) * args.y_stride;
    V::Store(args.y + at + row, acc[t], count);
  }
}

// Rows [row, row + count) for kTokens tokens, for a type with blocks of 32.
template <typename V, typename Codec, int kTokens>
[[gnu::noinline]] void PlainTile(const MatmulArgs& args, std::size_t row,
                                 std::size_t count, std::size_t token) {
  constexpr std::size_t kBytes = sizeof(typename Codec::Block);
  constexpr int kBias =
      Codec::kMax == kWide && V::kSignedWide ? 0 : Codec::kBias;
  const Q8x32Layout layout(args.columns);
  const auto* rows = reinterpret_cast<const std::uint8_t*>(args.weights) +
                     row * args.row_bytes;
  const std::byte* records = args.activations + token * args.activation_stride;
  const NextGroup<V, kBytes> next(args, row, token);
  std::uint8_t copy[V::kLanes * kBytes];
  typename V::Float acc[kTokens];
  for (int t = 0; t < kTokens; ++t) acc[t] = V::ZeroFloat();
  for (std::size_t b = 0; b < args.columns / kBlock; ++b) {
    next.Prefetch(b);
    Panel<V> panel;
    Codec::Load(
        GroupBlocks<V, kBytes>(rows, args.row_bytes, count, b * kBytes, copy),
        panel);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const std::byte* record =
          records + static_cast<std::size_t>(t) * args.activation_stride;
      const auto start =
          V::template BiasTerm<kBias>(record + layout.sums + 4 * b);
      const auto dot =
          V::template Dot<Codec::kMax>(start, panel.w, record + kBlock * b);
      const auto scale = V::BroadcastFloat(record + layout.scales + 4 * b);
      acc[t] = V::Fma(V::Mul(panel.d, scale), V::ToFloat(dot), acc[t]);
      if constexpr (Codec::kHasMin) {
        acc[t] = V::Fma(panel.m,
                        V::BroadcastFloat(record + layout.scaled_sums + 4 * b),
                        acc[t]);
      }
    }
  }
  StoreTile<V, kTokens>(args, row, count, token, acc);
}

// Integer sums of one superblock of kTokens tokens.
template <typename V, int kTokens>
struct SuperSums {
  typename V::Reg dot[kTokens];

  // Adds scale * (4 * kDwords weights . activations at q) for every token.
  template <int kMax, int kDwords>
  SLUICE_INLINE void Add(const typename V::Reg (&w)[kDwords],
                         typename V::Reg scale, const std::byte* q,
                         std::size_t stride) {
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      dot[t] = V::template ScaledDot<kMax>(
          dot[t], w, scale, q + static_cast<std::size_t>(t) * stride);
    }
  }
};

// Rows [row, row + count) for kTokens tokens, for a K type or IQ4_XS.
template <typename V, typename Codec, int kTokens>
[[gnu::noinline]] void SuperTile(const MatmulArgs& args, std::size_t row,
                                 std::size_t count, std::size_t token) {
  constexpr std::size_t kBytes = sizeof(typename Codec::Block);
  constexpr int kBias =
      Codec::kMax == kWide && V::kSignedWide ? 0 : Codec::kBias;
  constexpr std::size_t kPairs = Codec::kSubBlock == 16 ? 8 : 4;
  const Q8x256Layout layout(args.columns);
  const std::size_t sums_at =
      Codec::kSubBlock == 16 ? layout.sums16 : layout.sums32;
  const auto* rows = reinterpret_cast<const std::uint8_t*>(args.weights) +
                     row * args.row_bytes;
  const std::size_t stride = args.activation_stride;
  const std::byte* records = args.activations + token * stride;
  const NextGroup<V, kBytes> next(args, row, token);
  std::uint8_t copy[V::kLanes * kBytes];
  typename V::Float acc[kTokens];
  for (int t = 0; t < kTokens; ++t) acc[t] = V::ZeroFloat();
  for (std::size_t b = 0; b < args.columns / kSuperBlock; ++b) {
    next.Prefetch(b);
    const RowBlocks blocks =
        GroupBlocks<V, kBytes>(rows, args.row_bytes, count, b * kBytes, copy);
    SuperSums<V, kTokens> sums;
    for (int t = 0; t < kTokens; ++t) sums.dot[t] = V::Splat32(0);
    const Codec codec(blocks);
    codec.AddDots(blocks, sums, records + kSuperBlock * b, stride);
    // Sums of activations times minima, or times scales to undo the bias.
    typename V::Reg pairs[kPairs];
    if constexpr (Codec::kHasMin || kBias != 0) codec.Pairs(pairs);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const std::byte* record = records + static_cast<std::size_t>(t) * stride;
      const auto scale = V::BroadcastFloat(record + layout.scales + 4 * b);
      auto extra = V::Splat32(0);
      if constexpr (Codec::kHasMin || kBias != 0) {
        const std::byte* at = record + sums_at + 4 * kPairs * b;
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kPairs; ++i) {
          extra = V::AddPairs(extra, pairs[i], V::Broadcast(at + 4 * i));
        }
      }
      auto dot = sums.dot[t];
      if constexpr (!Codec::kHasMin && kBias != 0) {
        dot = V::Sub32(dot, V::template Times<kBias>(extra));
      }
      acc[t] = V::Fma(V::Mul(codec.d, scale), V::ToFloat(dot), acc[t]);
      if constexpr (Codec::kHasMin) {
        acc[t] =
            V::NegatedFma(V::Mul(codec.dmin, scale), V::ToFloat(extra), acc[t]);
      }
    }
  }
  StoreTile<V, kTokens>(args, row, count, token, acc);
}

// Chooses between the drivers by the type's block.
template <typename V, typename Codec, int kTokens>
SLUICE_INLINE void Tile(const MatmulArgs& args, std::size_t row,
                        std::size_t count, std::size_t token) {
  if constexpr (Codec::kSubBlock == 0) {
    PlainTile<V, Codec, kTokens>(args, row, count, token);
  } else {
    SuperTile<V, Codec, kTokens>(args, row, count, token);
  }
}

// Rows [row, row + count) for the tokens from `token` on, kTokens at a time and
// what is left in halves of that.
template <typename V, typename Codec, int kTokens>
SLUICE_INLINE void TokenTiles(const MatmulArgs& args, std::size_t row,
                              std::size_t count, std::size_t token) {
  for (; args.tokens - token >= kTokens; token += kTokens) {
    Tile<V, Codec, kTokens>(args, row, count, token);
  }
  if constexpr (kTokens > 1) {
    TokenTiles<V, Codec, kTokens / 2>(args, row, count, token);
  }
}

template <typename V, typename Codec>
void PanelMatmul(const MatmulArgs& args) {
  constexpr int kTokens = Codec::kSubBlock == 0 ? V::kPlainTile : V::kSuperTile;
  for (std::size_t row = args.row_begin; row < args.row_end; row += V::kLanes) {
    const std::size_t left = args.row_end - row;
    TokenTiles<V, Codec, kTokens>(args, row,
                                  left < V::kLanes ? left : V::kLanes, 0);
  }
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_PANEL_H_
