// Products of rows8 weights: the drivers, generic over the vector type V
// (rows8_ops_avx2.h, rows8_ops_avx512.h).
//
// As in quant_panel.h the lanes of a vector are rows and the per-row float
// operations of kernels/activations.h become one vector operation each, so
// results equal the scalar ones bit for bit; but here the layout has the lanes
// in place, and a load takes what there had to be transposed. V::kLanes is 8 or
// 16: one or two row groups at a time. A last lone group fills both halves.
//
// Everything here has internal linkage: each including file has flags of its
// own.
#ifndef SLUICE_KERNELS_ROWS8_PANEL_H_
#define SLUICE_KERNELS_ROWS8_PANEL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/activations.h"
#include "kernels/kernel_table.h"
#include "kernels/quant_panel.h"
#include "kernels/rows8.h"
#include "kernels/rows8_fields.h"

namespace sluice::kernels {
namespace {

// The group blocks at one block column of the row groups that are computed
// together; the second is `second` bytes on.
struct GroupBlockPair {
  const std::uint8_t* first;
  std::size_t second;
};

// What a tile works on: rows [row, row + count) and the tokens from `token`.
struct TilePlace {
  std::size_t row;
  std::size_t count;
  std::size_t token;
};

// The position of a tile in its weights, block by block, and what it asks for
// ahead of their use. One row group is one stream, in which every line is asked
// for kAhead bytes before it is used. Two groups at a time are two streams with
// a run of memory behind them: each line of that is asked for.
template <typename V, typename Fields>
class GroupCursor {
 public:
  SLUICE_INLINE GroupCursor(const MatmulArgs& args, const TilePlace& place)
      : at_(reinterpret_cast<const std::uint8_t*>(args.weights) +
            place.row * args.row_bytes),
        ahead_(AddressOf(at_) +
               (kOneStream ? kAhead : V::kLanes * args.row_bytes)),
        end_(AddressOf(args.weights) + args.row_end * args.row_bytes),
        next_(AddressOf(args.next)),
        second_(place.count > kRows8 ? kRows8 * args.row_bytes : 0),
        // Asked for once, by the first tile of tokens.
        prefetch_(place.token == 0) {}

  // This block's; asks for as many bytes as are taken.
  SLUICE_INLINE GroupBlockPair Next() {
    constexpr std::size_t kBytes = kRows8 * sizeof(typename Fields::Block);
    constexpr std::size_t kRun = V::kLanes / kRows8 * kBytes;
    const GroupBlockPair blocks{at_, second_};
    if (prefetch_ && ahead_ >= end_) GoOn();
    if (prefetch_) {
      for (std::size_t i = 0; i < kRun; i += kLine) {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): may be beyond the matrix.
        const auto* line = reinterpret_cast<const void*>(ahead_ + i);
        __builtin_prefetch(line, 0, 2);
      }
    }
    at_ += kBytes;
    ahead_ += kRun;
    return blocks;
  }

 private:
  static constexpr std::size_t kLine = 64;
  // Nearer comes too late, and farther is slower where two threads share a
  // cache and its link to memory (bench/LEARNED.md, 63 and 79).
  static constexpr std::size_t kAhead = 6272;
  static constexpr bool kOneStream = V::kLanes == kRows8;

  static SLUICE_INLINE std::uintptr_t AddressOf(const void* p) {
    return reinterpret_cast<std::uintptr_t>(p);
  }
  // Past these rows come those that are next, if any.
  SLUICE_INLINE void GoOn() {
    ahead_ = next_ + (ahead_ - end_);
    end_ = ~std::uintptr_t{0};
    prefetch_ = next_ != 0;
  }

  const std::uint8_t* at_;
  std::uintptr_t ahead_;
  std::uintptr_t end_;
  std::uintptr_t next_;
  std::size_t second_;
  bool prefetch_;
};

// How the weights of a codec are walked: by its own Cursor, if it has one.
template <typename V, typename Codec>
struct CursorOf {
  using Type = GroupCursor<V, typename Codec::Fields>;
};
template <typename V, typename Codec>
  requires requires { typename Codec::Cursor; }
struct CursorOf<V, Codec> {
  using Type = typename Codec::Cursor;
};

template <typename V, int kTokens>
SLUICE_INLINE void StoreRows8(const MatmulArgs& args, const TilePlace& place,
                              const typename V::Float (&acc)[kTokens]) {
  StoreTile<V, kTokens>(args, place.row, place.count, place.token, acc);
}

// -kBias times the sum at p. Shifting and subtracting leave the multipliers,
// which bound a prompt, to the products; so biases are powers of two.
template <typename V, int kBias>
SLUICE_INLINE typename V::Reg BiasStart(const std::byte* p) {
  if constexpr (kBias == 0) {
    return V::Splat32(0);
  } else {
    return V::Sub32(V::Splat32(0), V::template Times<kBias>(V::Broadcast(p)));
  }
}

// dot[t] += w . the activations at q of token t. Tokens take turns, so that the
// multipliers always have several sums to go on with.
template <typename V, int kMax, bool kTwoChains, int kTokens, int kDwords>
SLUICE_INLINE void AddDots(const typename V::Reg (&w)[kDwords],
                           const std::byte* q, std::size_t stride,
                           typename V::Reg (&dot)[kTokens]) {
  if constexpr (kTokens == 1) {
    dot[0] = V::template Rows8Dot<kMax, kTwoChains>(dot[0], w, q);
  } else {
#pragma GCC unroll 8
    for (int k = 0; k < kDwords; ++k) {
      const typename V::Reg dword[] = {w[k]};
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        dot[t] = V::template Rows8Dot<kMax, false>(
            dot[t], dword, q + static_cast<std::size_t>(t) * stride + 4 * k);
      }
    }
  }
}

// Where the records of tokens are at one block of 32 columns.
struct PlainRecords {
  const std::byte* q;
  const std::byte* scale;
  std::size_t stride;
  std::size_t sums;         // from the scale
  std::size_t scaled_sums;  // from the scale

  // Those from token `t` on.
  SLUICE_INLINE PlainRecords From(int t) const {
    const std::size_t skipped = static_cast<std::size_t>(t) * stride;
    return {q + skipped, scale + skipped, stride, sums, scaled_sums};
  }
  SLUICE_INLINE void NextBlock() {
    q += kBlock;
    scale += 4;
  }
};

// acc[t] += a block's weights . kCount tokens, whose products take turns.
template <typename V, typename Codec, bool kTwoChains, int kCount>
SLUICE_INLINE void AddPlainBlock(const Panel<V>& panel,
                                 const PlainRecords& records,
                                 typename V::Float* acc) {
  constexpr int kBias =
      Codec::kMax == kWide && V::kSignedWide ? 0 : Codec::kBias;
  typename V::Reg dot[kCount];
#pragma GCC unroll 16
  for (int t = 0; t < kCount; ++t) {
    dot[t] = BiasStart<V, kBias>(records.From(t).scale + records.sums);
  }
  AddDots<V, Codec::kMax, kTwoChains>(panel.w, records.q, records.stride, dot);
#pragma GCC unroll 16
  for (int t = 0; t < kCount; ++t) {
    const std::byte* at = records.From(t).scale;
    const auto scale = V::BroadcastFloat(at);
    acc[t] = V::Fma(V::Mul(panel.d, scale), V::ToFloat(dot[t]), acc[t]);
    if constexpr (Codec::kHasMin) {
      const auto scaled = V::BroadcastFloat(at + records.scaled_sums);
      acc[t] = V::Fma(panel.m, scaled, acc[t]);
    }
  }
}

// kTokens tokens, for a type with blocks of 32.
template <typename V, typename Codec, int kTokens>
[[gnu::noinline]] void PlainRows8(const MatmulArgs& args,
                                  const TilePlace& place) {
  // Turns of kDots tokens; a tile of less than two of them is one turn.
  constexpr int kDots = V::kDotsTogether;
  constexpr int kTogether = kTokens < kDots       ? 1
                            : kTokens < 2 * kDots ? kTokens
                                                  : kDots;
  static_assert(kTokens % kTogether == 0);
  constexpr bool kTwoChains = kTokens < 4;
  const Q8x32Layout layout(args.columns);
  const std::size_t stride = args.activation_stride;
  const std::byte* q = args.activations + place.token * stride;
  PlainRecords records{q, q + layout.scales, stride,
                       layout.sums - layout.scales,
                       layout.scaled_sums - layout.scales};
  GroupCursor<V, typename Codec::Fields> cursor(args, place);
  typename V::Float acc[kTokens];
  for (int t = 0; t < kTokens; ++t) acc[t] = V::ZeroFloat();
  for (std::size_t b = args.columns / kBlock; b > 0; --b) {
    Panel<V> panel;
    Codec::Load(cursor.Next(), panel);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; t += kTogether) {
      AddPlainBlock<V, Codec, kTwoChains, kTogether>(panel, records.From(t),
                                                     acc + t);
    }
    records.NextBlock();
  }
  StoreRows8<V, kTokens>(args, place, acc);
}

// Integer sums of one superblock of kTokens tokens.
template <typename V, int kTokens>
struct Rows8Sums {
  typename V::Reg dot[kTokens];

  // Adds scale * (4 * kDwords weights . activations at q) for every token.
  template <int kMax, int kDwords>
  SLUICE_INLINE void Add(const typename V::Reg (&w)[kDwords],
                         typename V::Reg scale, const std::byte* q,
                         std::size_t stride) {
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      dot[t] = V::template Rows8ScaledDot<kMax, (kTokens < 4)>(
          dot[t], w, scale, q + static_cast<std::size_t>(t) * stride);
    }
  }
};

// kTokens tokens, for a K type or IQ4_XS.
template <typename V, typename Codec, int kTokens>
[[gnu::noinline]] void SuperRows8(const MatmulArgs& args,
                                  const TilePlace& place) {
  constexpr int kBias =
      Codec::kMax == kWide && V::kSignedWide ? 0 : Codec::kBias;
  constexpr bool kUsesSums = Codec::kHasMin || kBias != 0;
  constexpr std::size_t kPairs = Codec::kSubBlock == 16 ? 8 : 4;
  const Q8x256Layout layout(args.columns);
  const std::size_t stride = args.activation_stride;
  const std::byte* q = args.activations + place.token * stride;
  const std::byte* scales = q + layout.scales;
  const std::byte* sums_at =
      q + (Codec::kSubBlock == 16 ? layout.sums16 : layout.sums32);
  typename CursorOf<V, Codec>::Type cursor(args, place);
  typename V::Float acc[kTokens];
  for (int t = 0; t < kTokens; ++t) acc[t] = V::ZeroFloat();
  for (std::size_t b = args.columns / kSuperBlock; b > 0; --b) {
    const Codec codec(cursor.Next());
    // Sums of activations times minima, or times scales to undo the bias.
    typename V::Reg extra[kTokens];
    for (int t = 0; t < kTokens; ++t) extra[t] = V::Splat32(0);
    if constexpr (kUsesSums) {
      typename V::Reg pairs[kPairs];
      codec.Pairs(pairs);
      if constexpr (!Codec::kHasMin) V::template ScalePairs<-kBias>(pairs);
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        const std::byte* at = sums_at + static_cast<std::size_t>(t) * stride;
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kPairs; ++i) {
          extra[t] = V::AddPairs(extra[t], pairs[i], V::Broadcast(at + 4 * i));
        }
      }
    }
    Rows8Sums<V, kTokens> sums;
    for (int t = 0; t < kTokens; ++t) {
      sums.dot[t] = Codec::kHasMin ? V::Splat32(0) : extra[t];
    }
    codec.AddDots(sums, q, stride);
    const auto d = codec.D();
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const auto scale =
          V::BroadcastFloat(scales + static_cast<std::size_t>(t) * stride);
      acc[t] = V::Fma(V::Mul(d, scale), V::ToFloat(sums.dot[t]), acc[t]);
      if constexpr (Codec::kHasMin) {
        acc[t] = V::NegatedFma(V::Mul(codec.Dmin(), scale),
                               V::ToFloat(extra[t]), acc[t]);
      }
    }
    q += kSuperBlock;
    scales += 4;
    sums_at += 4 * kPairs;
  }
  StoreRows8<V, kTokens>(args, place, acc);
}

// Chooses between the drivers by the type's block.
template <typename V, typename Codec, int kTokens>
SLUICE_INLINE void Rows8Tile(const MatmulArgs& args, const TilePlace& place) {
  if constexpr (Codec::kSubBlock == 0) {
    PlainRows8<V, Codec, kTokens>(args, place);
  } else {
    SuperRows8<V, Codec, kTokens>(args, place);
  }
}

// kTokens tokens and no more.
template <typename V, typename Codec, int kTokens>
void Rows8Few(const MatmulArgs& args) {
  for (std::size_t row = args.row_begin; row < args.row_end; row += V::kLanes) {
    const std::size_t left = args.row_end - row;
    const std::size_t count = left < V::kLanes ? left : V::kLanes;
    Rows8Tile<V, Codec, kTokens>(args, {row, count, 0});
  }
}

// `count` tokens together, at most kMost.
template <typename V, typename Codec, int kMost>
SLUICE_INLINE void Rows8Together(const MatmulArgs& args, const TilePlace& place,
                                 std::size_t count) {
  if constexpr (kMost > 0) {
    if (count == kMost) return Rows8Tile<V, Codec, kMost>(args, place);
    Rows8Together<V, Codec, kMost - 1>(args, place, count);
  }
}

// The tokens from place.token on: kTokens at a time and then the rest, in two
// parts of like size if it is more than kMostRest.
template <typename V, typename Codec, int kTokens>
SLUICE_INLINE void Rows8Tiles(const MatmulArgs& args, TilePlace place) {
  constexpr int kMostRest = kTokens < 8 ? kTokens - 1 : 8;
  static_assert(kTokens - 1 <= 2 * kMostRest);
  for (; args.tokens - place.token >= kTokens; place.token += kTokens) {
    Rows8Tile<V, Codec, kTokens>(args, place);
  }
  const std::size_t rest = args.tokens - place.token;
  if (rest <= kMostRest) {
    return Rows8Together<V, Codec, kMostRest>(args, place, rest);
  }
  const std::size_t first = (rest + 1) / 2;
  Rows8Together<V, Codec, kMostRest>(args, place, first);
  place.token += first;
  Rows8Together<V, Codec, kMostRest>(args, place, rest - first);
}

// Tokens that all rows are multiplied with before the next ones, in multiples
// of `tile`: their activations stay in the second-level cache meanwhile.
SLUICE_INLINE std::size_t TokensTogether(const MatmulArgs& args,
                                         std::size_t tile) {
  constexpr std::size_t kCachedBytes = 384 << 10;
  if (args.tokens * args.activation_stride <= kCachedBytes) return args.tokens;
  const std::size_t tiles = kCachedBytes / (tile * args.activation_stride);
  return tile * (tiles > 0 ? tiles : 1);
}

template <typename V, typename Codec>
void Rows8Matmul(const MatmulArgs& args) {
  constexpr int kTokens = Codec::kSubBlock == 0 ? V::kPlainTile : V::kSuperTile;
  const std::size_t run = TokensTogether(args, kTokens);
  MatmulArgs part = args;
  for (std::size_t token = 0; token < args.tokens; token += run) {
    part.tokens = args.tokens - token < run ? args.tokens : token + run;
    for (std::size_t row = args.row_begin; row < args.row_end;
         row += V::kLanes) {
      const std::size_t left = args.row_end - row;
      Rows8Tiles<V, Codec, kTokens>(
          part, {row, left < V::kLanes ? left : V::kLanes, token});
    }
  }
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_PANEL_H_
