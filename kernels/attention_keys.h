// Dot products of queries with groups of keys (kernels/kernel_table.h), for
// kernels/attention_impl.h. The lanes of a register are a group's positions, so
// nothing is added across lanes.
//
// Internal to kernels/vector_*.cc; the rules on linkage are in
// kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_ATTENTION_KEYS_H_
#define SLUICE_KERNELS_ATTENTION_KEYS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/prefetch.h"
#include "kernels/unroll.h"

namespace sluice::kernels {
namespace {

// What a tile of scores is made of.
struct KeyTile {
  const float* const* q;      // rows
  const std::byte* const* k;  // groups
  std::size_t head_dim;
  std::size_t scales;  // offset in a row
  std::size_t ahead;   // bytes from what is used to what is asked for
};

// out[r * kGroups + g] = of q[r] and each of the keys of k[g], dimension by
// dimension.
template <class V, std::size_t kRows, std::size_t kGroups>
struct F16Keys {
  static constexpr std::size_t kRun = kKeyGroup * sizeof(std::uint16_t);

  static void Dots(const KeyTile& tile, V* out) {
    V sum[kRows * kGroups];
    Unroll<kRows * kGroups>([&](auto i) { sum[i] = V::Zero(); });
    for (std::size_t d = 0; d < tile.head_dim; d += 2) {
      Unroll<kGroups>(
          [&](auto g) { PrefetchFarAhead(tile.k[g], tile.ahead + d * kRun); });
      Unroll<2>([&](auto i) {
        V keys[kGroups];
        Unroll<kGroups>(
            [&](auto g) { keys[g] = V::LoadF16(tile.k[g] + (d + i) * kRun); });
        Unroll<kRows>([&](auto r) {
          const V x = V::Splat(tile.q[r][d + i]);
          Unroll<kGroups>([&](auto g) {
            V& s = sum[r * kGroups + g];
            s = V::Fma(keys[g], x, s);
          });
        });
      });
    }
    Unroll<kRows * kGroups>([&](auto i) { out[i] = sum[i]; });
  }
};

// Each block of kKvBlock dimensions by itself, and then times its scales.
template <class V, std::size_t kRows, std::size_t kGroups>
struct Q8Keys {
  static void Dots(const KeyTile& tile, V* out) {
    V sum[kRows * kGroups];
    Unroll<kRows * kGroups>([&](auto i) { sum[i] = V::Zero(); });
    for (std::size_t begin = 0; begin < tile.head_dim; begin += kKvBlock) {
      V part[kRows * kGroups];
      BlockDots(tile, begin, part);
      Unroll<kGroups>([&](auto g) {
        const std::size_t at =
            kKeyGroup * (tile.scales + begin / kKvBlock * sizeof(float));
        const V scales = V::Load(tile.k[g] + at);
        PrefetchFarAhead(tile.k[g], tile.ahead + at);
        Unroll<kRows>([&](auto r) {
          V& s = sum[r * kGroups + g];
          s = V::Fma(part[r * kGroups + g], scales, s);
        });
      });
    }
    Unroll<kRows * kGroups>([&](auto i) { out[i] = sum[i]; });
  }

 private:
  // Of the block that begins at dimension `begin`; the last may be half.
  static void BlockDots(const KeyTile& tile, std::size_t begin, V* out) {
    const std::size_t left = tile.head_dim - begin;
    const std::size_t end = begin + (left < kKvBlock ? left : kKvBlock);
    V sum[kRows * kGroups];
    Unroll<kRows * kGroups>([&](auto i) { sum[i] = V::Zero(); });
    for (std::size_t d = begin; d < end; d += 4) {
      Unroll<kGroups>([&](auto g) {
        PrefetchFarAhead(tile.k[g], tile.ahead + d * kKeyGroup);
      });
      Unroll<4>([&](auto i) {
        V keys[kGroups];
        Unroll<kGroups>([&](auto g) {
          keys[g] = V::LoadInt8(tile.k[g] + (d + i) * kKeyGroup);
        });
        Unroll<kRows>([&](auto r) {
          const V x = V::Splat(tile.q[r][d + i]);
          Unroll<kGroups>([&](auto g) {
            V& s = sum[r * kGroups + g];
            s = V::Fma(keys[g], x, s);
          });
        });
      });
    }
    Unroll<kRows * kGroups>([&](auto i) { out[i] = sum[i]; });
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ATTENTION_KEYS_H_
