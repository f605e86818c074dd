// Attention of KernelTable, written once over a Vec16 type
// (kernels/vec16_scalar.h): online softmax (Milakov & Gimelshein 2018) over
// blocks of kAttentionBlock positions counted from position 0. kernel_table.h
// gives the sequence of operations; how heads, positions and dimensions are
// tiled below is a matter of speed alone.
//
// Internal to kernels/vector_*.cc; the rules on linkage are in
// kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_ATTENTION_IMPL_H_
#define SLUICE_KERNELS_ATTENTION_IMPL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/prefetch.h"
#include "kernels/unroll.h"
#include "kernels/vector_ops_impl.h"

namespace sluice::kernels {
namespace {

// Heads that go through the positions together: bounds the state below.
constexpr std::size_t kSliceHeads = 8;
constexpr std::size_t kMaxHeadDim = 512;

// The state of one pass of at most kSliceHeads heads, on the stack (18 KiB).
struct AttentionState {
  // Of the block at hand: q.k, then e^(scaled q.k - max).
  alignas(64) float score[kSliceHeads][kAttentionBlock];
  // Sum over the positions so far of e^(score - max) * v.
  alignas(64) float acc[kSliceHeads][kMaxHeadDim];
  float max[kSliceHeads];
  float sum[kSliceHeads];  // of e^(score - max)
};

// Positions [begin, begin + count) of the inputs.
struct AttentionBlock {
  const std::uint16_t* k;
  const std::uint16_t* v;
  std::size_t stride;
  std::size_t count;
  std::size_t head_dim;

  // To the same row and place of the next block. Processors follow no stride
  // as long as a row by themselves; asking for that line with each use of one
  // doubled the speed of one head's attention.
  std::size_t BytesToNext() const {
    return kAttentionBlock * stride * sizeof(std::uint16_t);
  }
};

// score[h][p] = q[h].k[p] for kHeads heads. Positions past the block's end
// repeat its last one.
template <class V, std::size_t kHeads>
void Scores(const AttentionBlock& block, const float* q,
            float (*score)[kAttentionBlock]) {
  constexpr std::size_t kPositions = V::kTile / kHeads;
  const std::size_t ahead = block.BytesToNext();
  for (std::size_t p = 0; p < block.count; p += kPositions) {
    const std::uint16_t* k[kPositions];
    Unroll<kPositions>([&](auto i) {
      const std::size_t row = p + i < block.count ? p + i : block.count - 1;
      k[i] = block.k + row * block.stride;
    });
    V dot[V::kTile];  // [kHeads, kPositions]
    Unroll<V::kTile>([&](auto i) { dot[i] = V::Zero(); });
    for (std::size_t d = 0; d < block.head_dim; d += 16) {
      V qs[kHeads];
      Unroll<kHeads>(
          [&](auto h) { qs[h] = V::Load(q + h * block.head_dim + d); });
      Unroll<kPositions>([&](auto i) {
        const V ks = V::LoadF16(k[i] + d);
        PrefetchAhead(k[i] + d, ahead);
        Unroll<kHeads>([&](auto h) {
          V& sum = dot[h * kPositions + i];
          sum = V::Fma(ks, qs[h], sum);
        });
      });
    }
    float dots[V::kTile];
    V::SumTile(dot, dots);
    for (std::size_t h = 0; h < kHeads; ++h) {
      for (std::size_t i = 0; i < kPositions; ++i) {
        score[h][p + i] = dots[h * kPositions + i];
      }
    }
  }
}

// acc[h][d] += score[h][p] * v[p][d] over the block's positions in order, for
// kHeads heads and 16 * kVectors dimensions.
template <class V, std::size_t kHeads, std::size_t kVectors>
void AddValuesTile(const AttentionBlock& block, std::size_t dim,
                   const float (*score)[kAttentionBlock],
                   float (*acc)[kMaxHeadDim]) {
  V sum[kHeads * kVectors];
  Unroll<kHeads * kVectors>([&](auto i) {
    sum[i] = V::Load(acc[i / kVectors] + dim + 16 * (i % kVectors));
  });
  const std::size_t ahead = block.BytesToNext();
  const std::uint16_t* v = block.v + dim;
  for (std::size_t p = 0; p < block.count; ++p, v += block.stride) {
    V vs[kVectors];
    Unroll<kVectors>([&](auto j) {
      vs[j] = V::LoadF16(v + 16 * j);
      if constexpr (j % 2 == 0) PrefetchAhead(v + 16 * j, ahead);
    });
    Unroll<kHeads>([&](auto h) {
      const V weight = V::Splat(score[h][p]);
      Unroll<kVectors>([&](auto j) {
        V& s = sum[h * kVectors + j];
        s = V::Fma(weight, vs[j], s);
      });
    });
  }
  Unroll<kHeads * kVectors>([&](auto i) {
    sum[i].Store(acc[i / kVectors] + dim + 16 * (i % kVectors));
  });
}

template <class V, std::size_t kHeads>
void AddValues(const AttentionBlock& block,
               const float (*score)[kAttentionBlock],
               float (*acc)[kMaxHeadDim]) {
  constexpr std::size_t kVectors = V::kTile / kHeads;
  std::size_t dim = 0;
  for (; block.head_dim - dim >= 16 * kVectors; dim += 16 * kVectors) {
    AddValuesTile<V, kHeads, kVectors>(block, dim, score, acc);
  }
  for (; dim < block.head_dim; dim += 16) {
    AddValuesTile<V, kHeads, 1>(block, dim, score, acc);
  }
}

// Turns one head's dot products of `count` positions into weights, and brings
// its state from the old maximum to the new.
template <class V>
void UpdateSoftmax(AttentionState& state, std::size_t h, std::size_t count,
                   float scale, std::size_t head_dim) {
  constexpr float kLeast = -__builtin_inff();
  float* const score = state.score[h];
  for (std::size_t p = count; p < kAttentionBlock; ++p) score[p] = kLeast;
  const V scales = V::Splat(scale);
  V maxima = V::Splat(state.max[h]);
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
  if (max != state.max[h]) {
    const V shrink = Exp(V::Splat(state.max[h] - max));
    for (std::size_t d = 0; d < head_dim; d += 16) {
      V::Mul(V::Load(state.acc[h] + d), shrink).Store(state.acc[h] + d);
    }
    state.sum[h] = state.sum[h] * shrink.Max();
    state.max[h] = max;
  }
  state.sum[h] = state.sum[h] + sums.Sum();
}

// Calls f(Index<n>{}, first) for `heads` heads in runs of n = 4, 2 and 1.
template <class F>
inline void ForHeads(std::size_t heads, F f) {
  std::size_t h = 0;
  for (; heads - h >= 4; h += 4) f(Index<4>{}, h);
  for (; heads - h >= 2; h += 2) f(Index<2>{}, h);
  if (h < heads) f(Index<1>{}, h);
}

// Heads [first, first + heads) of args, heads <= kSliceHeads.
template <class V>
void AttentionSlice(const AttentionArgs& args, std::size_t first,
                    std::size_t heads) {
  const std::size_t dim = args.head_dim;
  const float* const q = args.q + first * dim;
  AttentionState state;
  for (std::size_t h = 0; h < heads; ++h) {
    state.max[h] = -__builtin_inff();
    state.sum[h] = 0.0F;
    for (std::size_t d = 0; d < dim; ++d) state.acc[h][d] = 0.0F;
  }
  for (std::size_t begin = 0; begin < args.length; begin += kAttentionBlock) {
    const std::size_t left = args.length - begin;
    const AttentionBlock block = {
        .k = args.k + begin * args.kv_stride,
        .v = args.v + begin * args.kv_stride,
        .stride = args.kv_stride,
        .count = left < kAttentionBlock ? left : kAttentionBlock,
        .head_dim = dim};
    ForHeads(heads, [&](auto run, std::size_t h) {
      Scores<V, run>(block, q + h * dim, state.score + h);
    });
    for (std::size_t h = 0; h < heads; ++h) {
      UpdateSoftmax<V>(state, h, block.count, args.scale, dim);
    }
    ForHeads(heads, [&](auto run, std::size_t h) {
      AddValues<V, run>(block, state.score + h, state.acc + h);
    });
  }
  for (std::size_t h = 0; h < heads; ++h) {
    float* const out = args.out + (first + h) * dim;
    const V sum = V::Splat(state.sum[h]);
    for (std::size_t d = 0; d < dim; d += 16) {
      V::Div(V::Load(state.acc[h] + d), sum).Store(out + d);
    }
  }
}

template <class V>
void Attention(const AttentionArgs& args) {
  for (std::size_t h = 0; h < args.group; h += kSliceHeads) {
    const std::size_t left = args.group - h;
    AttentionSlice<V>(args, h, left < kSliceHeads ? left : kSliceHeads);
  }
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ATTENTION_IMPL_H_
