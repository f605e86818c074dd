// What an instruction set can do at most: reading memory and multiplying int8,
// written once over a small vector type. Included by the peak_*.cc files alone;
// everything has internal linkage.
//
//   V::Reg            a register of V::kBytes bytes
//   V::Load(p)        from any address
//   V::Or(a, b), V::Low(a)   the lowest 8 bytes
//   V::MultiplyAdd(acc, u, s)  one instruction's (or sequence's) worth of int8
//                     multiply-accumulates: V::kMacs of them
#ifndef SLUICE_KERNELS_PEAK_IMPL_H_
#define SLUICE_KERNELS_PEAK_IMPL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/prefetch.h"

namespace sluice::kernels {
namespace {

constexpr int kPeakChains = 12;  // enough to fill two multipliers' latency

template <typename V>
std::uint64_t ReadPeak(const std::byte* data, std::size_t bytes,
                       std::size_t ahead) {
  constexpr std::size_t kStep = 4 * V::kBytes;
  typename V::Reg seen = V::Load(data);
  for (std::size_t i = 0; i + kStep <= bytes; i += kStep) {
    if (ahead != 0) {
      for (std::size_t line = 0; line < kStep; line += 64) {
        PrefetchAhead(data + i, ahead + line);
      }
    }
    for (std::size_t j = 0; j < 4; ++j) {
      seen = V::Or(seen, V::Load(data + i + j * V::kBytes));
    }
  }
  return V::Low(seen);
}

// Returns the multiply-accumulates done; `sink` gets a value that depends on
// all of them.
template <typename V>
std::uint64_t MultiplyPeak(const std::byte* data, std::uint64_t rounds,
                           std::uint64_t* sink) {
  const typename V::Reg u = V::Load(data);
  const typename V::Reg s = V::Load(data + V::kBytes);
  typename V::Reg acc[kPeakChains];
  for (auto& chain : acc) chain = u;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    for (auto& chain : acc) chain = V::MultiplyAdd(chain, u, s);
  }
  typename V::Reg all = acc[0];
  for (const auto& chain : acc) all = V::Or(all, chain);
  *sink = V::Low(all);
  return rounds * kPeakChains * V::kMacs;
}

template <typename V>
void AddPeak(KernelTable& table) {
  table.read_peak = ReadPeak<V>;
  table.multiply_peak = MultiplyPeak<V>;
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_PEAK_IMPL_H_
