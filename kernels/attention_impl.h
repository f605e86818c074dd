// Attention of KernelTable, written once over a Vec16 type
// (kernels/vec16_scalar.h): online softmax (Milakov & Gimelshein 2018) over
// blocks of kAttentionBlock positions counted from position 0, several queries
// and heads at a time (Dao 2023). kernel_table.h gives the sequence of
// operations; how queries, heads, positions and dimensions are tiled below is a
// matter of speed alone.
//
// A "row" is one head of one query: with an entry of its own in q, out and the
// state below.
//
// Internal to kernels/vector_*.cc; the rules on linkage are in
// kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_ATTENTION_IMPL_H_
#define SLUICE_KERNELS_ATTENTION_IMPL_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/attention_keys.h"
#include "kernels/kernel_table.h"
#include "kernels/prefetch.h"
#include "kernels/unroll.h"
#include "kernels/vector_ops_impl.h"

namespace sluice::kernels {
namespace {

constexpr std::size_t kMaxHeadDim = 512;

// Places [begin, end) of a block of positions.
struct Places {
  std::size_t begin;
  std::size_t end;
};
inline Places Both(Places a, Places b) {
  return {a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end};
}
inline Places Either(Places a, Places b) {
  return {a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

// One pass of at most kAttentionRows rows, on the stack (37 KiB, of which a
// head_dim of 128 uses 12).
struct AttentionState {
  // Of the block at hand: q.k, then e^(scaled q.k - max).
  alignas(64) float score[kAttentionRows][kAttentionBlock];
  // Sum over the positions so far of e^(score - max) * v.
  alignas(64) float acc[kAttentionRows][kMaxHeadDim];
  float max[kAttentionRows];
  float sum[kAttentionRows];  // of e^(score - max)
  const float* q[kAttentionRows];
  float* out[kAttentionRows];
  Places sees[kAttentionRows];  // of all positions
  Places here[kAttentionRows];  // of the block at hand; may be none
};

// How sixteen values of a row of V, from dimension d on, become floats.
struct F16Rows {
  static constexpr std::size_t kBytes = sizeof(std::uint16_t);  // of a value
  template <class V>
  static V Load(const std::byte* row, std::size_t d, std::size_t) {
    return V::LoadF16(row + d * kBytes);
  }
};
// `scales` is the offset of a row's scales.
struct Q8Rows {
  static constexpr std::size_t kBytes = 1;
  template <class V>
  static V Load(const std::byte* row, std::size_t d, std::size_t scales) {
    float scale;
    __builtin_memcpy(&scale, row + scales + d / kKvBlock * sizeof(float),
                     sizeof(float));
    return V::Mul(V::LoadInt8(row + d), V::Splat(scale));
  }
};

// The positions of a block.
struct AttentionBlock {
  const std::byte* k;
  const std::byte* v;
  std::size_t stride;  // bytes
  std::size_t scales;  // offset in a row
  std::size_t head_dim;
  // Bytes to the same row and place of the block that is next, modulo 2^64;
  // 0: none is. Processors follow no stride as long as a row by themselves;
  // asking for that line with each use of one doubled the speed of one head's
  // attention.
  std::size_t next;
};

// Rows that are computed with the same registers full of K or V: as square a
// tile as they allow, to load the least.
template <class V>
constexpr std::size_t kRowRun = V::kTile >= 16 ? 4 : 2;
// The same of keys, where those of eight bits take longer to unpack.
template <class V, class Rows>
constexpr std::size_t kKeyRowRun =
    V::kTile >= 16 && std::is_same_v<Rows, Q8Rows> ? 8 : kRowRun<V>;

// score[r][p] = q[r].k[p] for kRows rows from `row` on and at least the
// `places` of the block. Groups past these repeat the last one.
template <class V, class Rows, std::size_t kRows>
void Scores(const AttentionBlock& block, Places places, std::size_t row,
            AttentionState& state) {
  constexpr bool kQ8 = std::is_same_v<Rows, Q8Rows>;
  // Eight bits have sums of a block beside those of all.
  constexpr std::size_t kTile = kQ8 ? V::kTile / 2 : V::kTile;
  constexpr std::size_t kAll = kAttentionBlock / kKeyGroup;
  static_assert(kRows <= kTile);
  constexpr std::size_t kGroups = kTile / kRows < kAll ? kTile / kRows : kAll;
  using Keys = std::conditional_t<kQ8, Q8Keys<V, kRows, kGroups>,
                                  F16Keys<V, kRows, kGroups>>;
  const std::size_t ahead = row == 0 ? block.next : 0;
  const float* q[kRows];
  Unroll<kRows>([&](auto r) { q[r] = state.q[row + r]; });
  const std::size_t end = (places.end + kKeyGroup - 1) / kKeyGroup;
  for (std::size_t group = places.begin / kKeyGroup; group < end;
       group += kGroups) {
    const std::byte* k[kGroups];
    Unroll<kGroups>([&](auto g) {
      const std::size_t at = group + g < end ? group + g : end - 1;
      k[g] = block.k + at * kKeyGroup * block.stride;
    });
    V dot[kRows * kGroups];
    Keys::Dots({q, k, block.head_dim, block.scales, ahead}, dot);
    Unroll<kGroups>([&](auto g) {
      if (group + g >= end) return;
      Unroll<kRows>([&](auto r) {
        dot[r * kGroups + g].Store(state.score[row + r] +
                                   (group + g) * kKeyGroup);
      });
    });
  }
}

// acc[r][d] += score[r][p] * v[p][d] over `places` in order, for kRows rows
// from `row` on and 16 * kVectors dimensions.
template <class V, class Rows, std::size_t kRows, std::size_t kVectors>
void AddValuesTile(const AttentionBlock& block, Places places, std::size_t dim,
                   std::size_t row, AttentionState& state) {
  float* acc[kRows];
  const float* score[kRows];
  Unroll<kRows>([&](auto r) {
    acc[r] = state.acc[row + r] + dim;
    score[r] = state.score[row + r];
  });
  V sum[kRows * kVectors];
  Unroll<kRows * kVectors>([&](auto i) {
    sum[i] = V::Load(acc[i / kVectors] + 16 * (i % kVectors));
  });
  const std::size_t ahead = row == 0 ? block.next : 0;
  const std::byte* v = block.v + places.begin * block.stride;
  for (std::size_t p = places.begin; p < places.end; ++p, v += block.stride) {
    V vs[kVectors];
    Unroll<kVectors>([&](auto j) {
      const std::size_t d = dim + 16 * j;
      vs[j] = Rows::template Load<V>(v, d, block.scales);
      if constexpr (j * 16 * Rows::kBytes % 64 == 0) {
        PrefetchFarAhead(v, ahead + d * Rows::kBytes);
      }
    });
    Unroll<kRows>([&](auto r) {
      const V weight = V::Splat(score[r][p]);
      Unroll<kVectors>([&](auto j) {
        V& s = sum[r * kVectors + j];
        s = V::Fma(weight, vs[j], s);
      });
    });
  }
  Unroll<kRows * kVectors>(
      [&](auto i) { sum[i].Store(acc[i / kVectors] + 16 * (i % kVectors)); });
}

// All dimensions from `dim` on, 16 * kVectors at a time and what is left in
// halves of that.
template <class V, class Rows, std::size_t kRows,
          std::size_t kVectors = V::kTile / kRows>
void AddValues(const AttentionBlock& block, Places places, std::size_t row,
               AttentionState& state, std::size_t dim = 0) {
  for (; block.head_dim - dim >= 16 * kVectors; dim += 16 * kVectors) {
    AddValuesTile<V, Rows, kRows, kVectors>(block, places, dim, row, state);
  }
  if constexpr (kVectors > 1) {
    AddValues<V, Rows, kRows, kVectors / 2>(block, places, row, state, dim);
  }
}

// What rows [row, row + kRows) see of the block: together what all of them see,
// and one by one what else each does.
template <class V, class Rows, std::size_t kRows>
void AddRunValues(const AttentionBlock& block, std::size_t row,
                  AttentionState& state) {
  Places all = state.here[row];
  for (std::size_t r = 1; r < kRows; ++r) all = Both(all, state.here[row + r]);
  const bool shared = all.begin < all.end;
  if (!shared) all = {kAttentionBlock, kAttentionBlock};
  const auto add_each = [&](Places places) {
    for (std::size_t r = row; r < row + kRows; ++r) {
      const Places own = Both(state.here[r], places);
      if (own.begin < own.end) AddValues<V, Rows, 1>(block, own, r, state);
    }
  };
  if constexpr (kRows > 1) add_each({0, all.begin});
  if (shared) AddValues<V, Rows, kRows>(block, all, row, state);
  if constexpr (kRows > 1) add_each({all.end, kAttentionBlock});
}

// Turns row r's dot products with what it sees of the block into weights, and
// brings its state from the old maximum to the new.
template <class V>
void UpdateSoftmax(AttentionState& state, std::size_t r, float scale,
                   std::size_t head_dim) {
  constexpr float kLeast = -__builtin_inff();
  const Places here = state.here[r];
  if (here.begin >= here.end) return;
  float* const score = state.score[r];
  for (std::size_t p = 0; p < here.begin; ++p) score[p] = kLeast;
  for (std::size_t p = here.end; p < kAttentionBlock; ++p) score[p] = kLeast;
  const V scales = V::Splat(scale);
  V maxima = V::Splat(state.max[r]);
  for (std::size_t p = 0; p < kAttentionBlock; p += 16) {
    const V s = V::Mul(V::Load(score + p), scales);
    s.Store(score + p);
    maxima = V::Max(s, maxima);
  }
  const float max = maxima.Max();
  V sums = V::Zero();
  for (std::size_t p = 0; p < kAttentionBlock; p += 16) {
    const V e = Exp(V::Sub(V::Load(score + p), V::Splat(max)));
    e.Store(score + p);
    sums = V::Add(sums, e);
  }
  if (max != state.max[r]) {
    const V shrink = Exp(V::Splat(state.max[r] - max));
    for (std::size_t d = 0; d < head_dim; d += 16) {
      V::Mul(V::Load(state.acc[r] + d), shrink).Store(state.acc[r] + d);
    }
    state.sum[r] = state.sum[r] * shrink.Max();
    state.max[r] = max;
  }
  state.sum[r] = state.sum[r] + sums.Sum();
}

// Calls f(Index<n>{}, first) for rows [first, rows) in runs of n = kMost, half
// of that and so on.
template <std::size_t kMost, class F>
inline void ForRows(std::size_t rows, F f, std::size_t first = 0) {
  for (; rows - first >= kMost; first += kMost) f(Index<kMost>{}, first);
  if constexpr (kMost > 1) ForRows<kMost / 2>(rows, f, first);
}

// Brings the state of `rows` rows from one block to the next.
template <class V, class Rows>
void AddBlock(const AttentionBlock& block, std::size_t rows, float scale,
              AttentionState& state) {
  ForRows<kKeyRowRun<V, Rows>>(rows, [&](auto run, std::size_t row) {
    Places any = state.here[row];
    for (std::size_t r = 1; r < run; ++r) {
      any = Either(any, state.here[row + r]);
    }
    Scores<V, Rows, run>(block, any, row, state);
  });
  for (std::size_t r = 0; r < rows; ++r) {
    UpdateSoftmax<V>(state, r, scale, block.head_dim);
  }
  ForRows<kRowRun<V>>(rows, [&](auto run, std::size_t row) {
    AddRunValues<V, Rows, run>(block, row, state);
  });
}

// Row `row` of all, as row r of the state.
inline void BeginRow(const AttentionArgs& args, std::size_t row, std::size_t r,
                     AttentionState& state) {
  const std::size_t query = row / args.group;
  const std::size_t offset =
      query * args.query_stride + row % args.group * args.head_dim;
  const std::size_t end = args.length - (args.queries - 1 - query);
  state.q[r] = args.q + offset;
  state.out[r] = args.out + offset;
  state.sees[r] = {end > args.window ? end - args.window : 0, end};
  state.max[r] = -__builtin_inff();
  state.sum[r] = 0.0F;
  for (std::size_t d = 0; d < args.head_dim; ++d) state.acc[r][d] = 0.0F;
}

// The block of positions from `begin` on, of blocks from `first` to `end`.
inline AttentionBlock BlockAt(const AttentionArgs& args, std::size_t begin,
                              std::size_t first, std::size_t end) {
  const auto row = [&](std::size_t position) {
    return position % args.ring * args.kv_stride;
  };
  AttentionBlock block = {.k = args.k + row(begin),
                          .v = args.v + row(begin),
                          .stride = args.kv_stride,
                          .scales = KvScalesOffset(args.head_dim),
                          .head_dim = args.head_dim,
                          .next = 0};
  if (begin + kAttentionBlock < end) {
    block.next = row(begin + kAttentionBlock) - row(begin);
  } else if (args.next != 0) {
    block.next = args.next + row(first) - row(begin);
  }
  return block;
}

// Rows [first, first + rows) of args, rows <= kAttentionRows.
template <class V, class Rows>
void AttentionSlice(const AttentionArgs& args, std::size_t first,
                    std::size_t rows) {
  AttentionState state;
  for (std::size_t r = 0; r < rows; ++r) BeginRow(args, first + r, r, state);
  const std::size_t end = state.sees[rows - 1].end;
  const std::size_t start =
      state.sees[0].begin / kAttentionBlock * kAttentionBlock;
  for (std::size_t begin = start; begin < end; begin += kAttentionBlock) {
    for (std::size_t r = 0; r < rows; ++r) {
      const Places seen = Both(state.sees[r], {begin, begin + kAttentionBlock});
      state.here[r] = seen.begin < seen.end
                          ? Places{seen.begin - begin, seen.end - begin}
                          : Places{kAttentionBlock, 0};
    }
    AddBlock<V, Rows>(BlockAt(args, begin, start, end), rows, args.scale,
                      state);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    const V sum = V::Splat(state.sum[r]);
    for (std::size_t d = 0; d < args.head_dim; d += 16) {
      V::Div(V::Load(state.acc[r] + d), sum).Store(state.out[r] + d);
    }
  }
}

template <class V>
void Attention(const AttentionArgs& args) {
  const std::size_t rows = args.queries * args.group;
  for (std::size_t row = 0; row < rows; row += kAttentionRows) {
    const std::size_t left = rows - row;
    const std::size_t count = left < kAttentionRows ? left : kAttentionRows;
    if (args.format == KvFormat::kQ8) {
      AttentionSlice<V, Q8Rows>(args, row, count);
    } else {
      AttentionSlice<V, F16Rows>(args, row, count);
    }
  }
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ATTENTION_IMPL_H_
