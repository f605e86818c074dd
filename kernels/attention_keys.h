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

// out[r * kGroups + g] = of q[r] and each of the keys of k[g], in order of the
// dimensions [begin, end), a multiple of sixteen. A key's value is of kBytes: 2
// are f16, 1 an integer.
template <class V, std::size_t kRows, std::size_t kGroups, std::size_t kBytes>
inline void KeyDots(const KeyTile& tile, std::size_t begin, std::size_t end,
                    V* out) {
  constexpr std::size_t kRun = kKeyGroup * kBytes;  // of one dimension
  constexpr std::size_t kOfLine = 64 / kRun;
  V sum[kRows * kGroups];
  Unroll<kRows * kGroups>([&](auto i) { sum[i] = V::Zero(); });
  for (std::size_t d = begin; d < end; d += kOfLine) {
    Unroll<kGroups>(
        [&](auto g) { PrefetchFarAhead(tile.k[g], tile.ahead + d * kRun); });
    Unroll<kOfLine>([&](auto i) {
      V keys[kGroups];
      Unroll<kGroups>([&](auto g) {
        const std::byte* const at = tile.k[g] + (d + i) * kRun;
        keys[g] = kBytes == 1 ? V::LoadInt8(at) : V::LoadF16(at);
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

template <class V, std::size_t kRows, std::size_t kGroups>
struct F16Keys {
  static void Dots(const KeyTile& tile, V* out) {
    KeyDots<V, kRows, kGroups, sizeof(std::uint16_t)>(tile, 0, tile.head_dim,
                                                      out);
  }
};

// Each block of kKvBlock dimensions, of which the last may be half, by itself,
// and then times its scales.
template <class V, std::size_t kRows, std::size_t kGroups>
struct Q8Keys {
  static void Dots(const KeyTile& tile, V* out) {
    V sum[kRows * kGroups];
    Unroll<kRows * kGroups>([&](auto i) { sum[i] = V::Zero(); });
    for (std::size_t begin = 0; begin < tile.head_dim; begin += kKvBlock) {
      const std::size_t left = tile.head_dim - begin;
      V part[kRows * kGroups];
      KeyDots<V, kRows, kGroups, 1>(
          tile, begin, begin + (left < kKvBlock ? left : kKvBlock), part);
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
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ATTENTION_KEYS_H_
