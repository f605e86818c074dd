// Products for pairs of tokens with the matrix instructions of Armv8.6: smmla
// multiplies two rows of eight weights with the eight activations of two
// tokens, twice the work of an sdot.
//
// Weights are unpacked as for Dotprod, to registers of the same four weights of
// four rows; two neighbouring ones interleaved give eight weights of two rows
// each. Everything else is as in quant_panel.h and rows8_panel.h; Layout says
// in which of the two layouts the weights are (RowMajorLayout, Rows8Layout).
// Many pairs share what was unpacked: their accumulators are in memory, which
// costs less than unpacking again.
//
// Everything here has internal linkage: each including file has flags of its
// own.
#ifndef SLUICE_KERNELS_QUANT_PAIRS_I8MM_H_
#define SLUICE_KERNELS_QUANT_PAIRS_I8MM_H_

#include "kernels/quant_ops_dotprod.h"
#include "kernels/rows8_ops_arm.h"

namespace sluice::kernels {
namespace {

using PairOps = Rows8Arm<Dotprod>;

constexpr int kMaxPairs = 8;

// Integers of eight rows and two tokens: {row 0 token 0, row 0 token 1, row 1
// token 0, row 1 token 1}, and so on.
struct Quad {
  int32x4_t rows[4];
};

// Weights of eight rows as smmla takes them: [i][j] has eight weights of row
// 2 j, then of row 2 j + 1, the i-th eight of the row.
template <int kEights>
struct PairedRows {
  int8x16_t w[kEights][4];
};

template <int kDwords>
SLUICE_INLINE PairedRows<kDwords / 2> PairRows(const ArmReg (&w)[kDwords]) {
  const auto zip = [](uint8x16_t a, uint8x16_t b, bool upper) {
    const uint32x4_t x = vreinterpretq_u32_u8(a);
    const uint32x4_t y = vreinterpretq_u32_u8(b);
    return vreinterpretq_s8_u32(upper ? vzip2q_u32(x, y) : vzip1q_u32(x, y));
  };
  PairedRows<kDwords / 2> rows;
#pragma GCC unroll 4
  for (int i = 0; i < kDwords / 2; ++i) {
    const ArmReg& a = w[2 * i];
    const ArmReg& b = w[2 * i + 1];
    rows.w[i][0] = zip(a.low, b.low, false);
    rows.w[i][1] = zip(a.low, b.low, true);
    rows.w[i][2] = zip(a.high, b.high, false);
    rows.w[i][3] = zip(a.high, b.high, true);
  }
  return rows;
}

// start + w . q for the tokens whose activations are at q and q + stride;
// start is that of every row.
template <int kEights>
SLUICE_INLINE Quad DotQuad(int32x4_t start, const PairedRows<kEights>& w,
                           const std::byte* q, std::size_t stride) {
  static_assert(kEights % 2 == 0);
  Quad sums = {{start, start, start, start}};
#pragma GCC unroll 2
  for (int i = 0; i < kEights; i += 2) {
    const auto load = [i](const std::byte* p) {
      return vreinterpretq_s64_s8(
          vld1q_s8(reinterpret_cast<const std::int8_t*>(p + 8 * i)));
    };
    const int64x2_t a = load(q);
    const int64x2_t b = load(q + stride);
    const int8x16_t first = vreinterpretq_s8_s64(vtrn1q_s64(a, b));
    const int8x16_t second = vreinterpretq_s8_s64(vtrn2q_s64(a, b));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      sums.rows[j] = vmmlaq_s32(sums.rows[j], w.w[i][j], first);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      sums.rows[j] = vmmlaq_s32(sums.rows[j], w.w[i + 1][j], second);
    }
  }
  return sums;
}

// One register of eight rows for each of the two tokens.
SLUICE_INLINE void SplitTokens(const Quad& quad, ArmReg (&tokens)[2]) {
  const int32x4_t* r = quad.rows;
  tokens[0] = ArmOps::FromInts(vuzp1q_s32(r[0], r[1]), vuzp1q_s32(r[2], r[3]));
  tokens[1] = ArmOps::FromInts(vuzp2q_s32(r[0], r[1]), vuzp2q_s32(r[2], r[3]));
}

// -kBias times the sums of two tokens, as DotQuad starts with.
template <int kBias>
SLUICE_INLINE int32x4_t PairBias(const std::byte* sum, std::size_t stride) {
  if constexpr (kBias == 0) return vdupq_n_s32(0);
  std::int32_t sums[2];
  __builtin_memcpy(&sums[0], sum, 4);
  __builtin_memcpy(&sums[1], sum + stride, 4);
  const int32x2_t both = vmul_n_s32(vld1_s32(sums), -kBias);
  return vcombine_s32(both, both);
}

// The two layouts of weights. Cursor gives the blocks of one position after the
// other; a Super is a codec of superblocks.
template <typename Codec>
struct RowMajorLayout {
  class Cursor {
   public:
    SLUICE_INLINE Cursor(const MatmulArgs& args, const TilePlace& place)
        : rows_(reinterpret_cast<const std::uint8_t*>(args.weights) +
                place.row * args.row_bytes),
          row_bytes_(args.row_bytes),
          count_(place.count),
          next_(args, place.row, place.token) {}
    SLUICE_INLINE RowBlocks Next() {
      const std::size_t block = block_++;
      next_.Prefetch(block);
      return GroupBlocks<PairOps, kBytes>(rows_, row_bytes_, count_,
                                          block * kBytes, copy_);
    }

   private:
    static constexpr std::size_t kBytes = sizeof(typename Codec::Block);
    const std::uint8_t* rows_;
    std::size_t row_bytes_;
    std::size_t count_;
    NextGroup<PairOps, kBytes> next_;
    std::size_t block_ = 0;
    std::uint8_t copy_[PairOps::kLanes * kBytes];
  };

  struct Super : Codec {
    explicit SLUICE_INLINE Super(RowBlocks group)
        : Codec(group), blocks(group) {}
    template <typename Sums>
    SLUICE_INLINE void AddDots(Sums& sums, const std::byte* q,
                               std::size_t stride) const {
      Codec::AddDots(blocks, sums, q, stride);
    }
    SLUICE_INLINE ArmFloat D() const { return Codec::d; }
    SLUICE_INLINE ArmFloat Dmin() const { return Codec::dmin; }
    RowBlocks blocks;
  };
};

template <typename Codec>
struct Rows8Layout {
  using Cursor = typename CursorOf<PairOps, Codec>::Type;
  using Super = Codec;
};

template <typename Codec>
constexpr int kPairBias =
    Codec::kMax == kWide && PairOps::kSignedWide ? 0 : Codec::kBias;

SLUICE_INLINE void StorePairs(const MatmulArgs& args, const TilePlace& place,
                              int pairs, const ArmFloat* acc) {
  for (int t = 0; t < 2 * pairs; ++t) {
    const std::size_t token = place.token + static_cast<std::size_t>(t);
    PairOps::Store(args.y + token * args.y_stride + place.row, acc[t],
                   place.count);
  }
}

// `pairs` pairs of tokens, for a type with blocks of 32.
template <typename Layout, typename Codec>
[[gnu::noinline]] void PlainPairs(const MatmulArgs& args,
                                  const TilePlace& place, int pairs) {
  using V = PairOps;
  const Q8x32Layout layout(args.columns);
  const std::size_t stride = args.activation_stride;
  const std::byte* records = args.activations + place.token * stride;
  typename Layout::Cursor cursor(args, place);
  ArmFloat acc[2 * kMaxPairs];
  for (int t = 0; t < 2 * pairs; ++t) acc[t] = V::ZeroFloat();
  for (std::size_t b = 0; b < args.columns / kBlock; ++b) {
    Panel<V> panel;
    Codec::Load(cursor.Next(), panel);
    const auto w = PairRows(panel.w);
    const std::byte* record = records;
    for (int t = 0; t < 2 * pairs; t += 2) {
      const int32x4_t start =
          PairBias<kPairBias<Codec>>(record + layout.sums + 4 * b, stride);
      ArmReg dots[2];
      SplitTokens(DotQuad(start, w, record + kBlock * b, stride), dots);
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const auto scale = V::BroadcastFloat(record + layout.scales + 4 * b);
        ArmFloat& sum = acc[t + i];
        sum = V::Fma(V::Mul(panel.d, scale), V::ToFloat(dots[i]), sum);
        if constexpr (Codec::kHasMin) {
          const auto least =
              V::BroadcastFloat(record + layout.scaled_sums + 4 * b);
          sum = V::Fma(panel.m, least, sum);
        }
        record += stride;
      }
    }
  }
  StorePairs(args, place, pairs, acc);
}

// Integer sums of one superblock of several pairs of tokens.
struct PairSums {
  Quad dot[kMaxPairs];
  int pairs;

  // Adds scale * (4 * kDwords weights . activations at q) for every token.
  template <int kMax, int kDwords>
  SLUICE_INLINE void Add(const ArmReg (&w)[kDwords], ArmReg scale,
                         const std::byte* q, std::size_t stride) {
    const auto rows = PairRows(w);
    const int32x4_t low = PairOps::Ints(scale.low);
    const int32x4_t high = PairOps::Ints(scale.high);
    const int32x4_t scales[4] = {vzip1q_s32(low, low), vzip2q_s32(low, low),
                                 vzip1q_s32(high, high),
                                 vzip2q_s32(high, high)};
// As a loop: unrolled, weights and sums of all pairs compete for registers.
#pragma GCC unroll 1
    for (int p = 0; p < pairs; ++p, q += 2 * stride) {
      const Quad products = DotQuad(vdupq_n_s32(0), rows, q, stride);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        dot[p].rows[j] = vmlaq_s32(dot[p].rows[j], products.rows[j], scales[j]);
      }
    }
  }
};

// `pairs` pairs of tokens, for a K type or IQ4_XS.
template <typename Layout, typename Codec>
[[gnu::noinline]] void SuperPairs(const MatmulArgs& args,
                                  const TilePlace& place, int pairs) {
  using V = PairOps;
  constexpr bool kUsesSums = Codec::kHasMin || kPairBias<Codec> != 0;
  constexpr std::size_t kPairs = Codec::kSubBlock == 16 ? 8 : 4;
  const Q8x256Layout layout(args.columns);
  const std::size_t stride = args.activation_stride;
  const std::byte* records = args.activations + place.token * stride;
  const std::size_t sums_at =
      Codec::kSubBlock == 16 ? layout.sums16 : layout.sums32;
  typename Layout::Cursor cursor(args, place);
  ArmFloat acc[2 * kMaxPairs];
  for (int t = 0; t < 2 * pairs; ++t) acc[t] = V::ZeroFloat();
  for (std::size_t b = 0; b < args.columns / kSuperBlock; ++b) {
    const typename Layout::Super codec(cursor.Next());
    PairSums sums;
    sums.pairs = pairs;
    for (int p = 0; p < pairs; ++p) sums.dot[p] = {};
    codec.AddDots(sums, records + kSuperBlock * b, stride);
    // Sums of activations times minima, or times scales to undo the bias.
    ArmReg factors[kPairs];
    if constexpr (kUsesSums) {
      codec.Pairs(factors);
      if constexpr (!Codec::kHasMin) {
        V::template ScalePairs<-kPairBias<Codec>>(factors);
      }
    }
    const auto d = codec.D();
    const std::byte* record = records;
    for (int t = 0; t < 2 * pairs; t += 2) {
      ArmReg dots[2];
      SplitTokens(sums.dot[t / 2], dots);
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        ArmReg extra = Codec::kHasMin ? V::Splat32(0) : dots[i];
        if constexpr (kUsesSums) {
          const std::byte* at = record + sums_at + 4 * kPairs * b;
#pragma GCC unroll 8
          for (std::size_t k = 0; k < kPairs; ++k) {
            extra = V::AddPairs(extra, factors[k], V::Broadcast(at + 4 * k));
          }
        }
        const auto scale = V::BroadcastFloat(record + layout.scales + 4 * b);
        const auto dot = V::ToFloat(Codec::kHasMin ? dots[i] : extra);
        ArmFloat& sum = acc[t + i];
        sum = V::Fma(V::Mul(d, scale), dot, sum);
        if constexpr (Codec::kHasMin) {
          sum = V::NegatedFma(V::Mul(codec.Dmin(), scale), V::ToFloat(extra),
                              sum);
        }
        record += stride;
      }
    }
  }
  StorePairs(args, place, pairs, acc);
}

// All tokens in pairs; a last one without a partner through `single`, for
// which it is the only token of its arguments.
template <typename Layout, typename Codec>
void PairsMatmul(const MatmulArgs& args, MatmulFn single) {
  const std::size_t even = args.tokens / 2 * 2;
  constexpr auto kTokens = static_cast<std::size_t>(2 * kMaxPairs);
  for (std::size_t row = args.row_begin; even > 0 && row < args.row_end;
       row += kRows8) {
    const std::size_t left = args.row_end - row;
    const std::size_t count = left < kRows8 ? left : kRows8;
    for (std::size_t token = 0; token < even; token += kTokens) {
      const std::size_t tokens =
          even - token < kTokens ? even - token : kTokens;
      const TilePlace place{row, count, token};
      const int pairs = static_cast<int>(tokens / 2);
      if constexpr (Codec::kSubBlock == 0) {
        PlainPairs<Layout, Codec>(args, place, pairs);
      } else {
        SuperPairs<Layout, Codec>(args, place, pairs);
      }
    }
  }
  if (even == args.tokens) return;
  MatmulArgs last = args;
  last.activations += even * args.activation_stride;
  last.y += even * args.y_stride;
  last.tokens = 1;
  single(last);
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_PAIRS_I8MM_H_
