// Unroll: a loop of constant length without a loop.
//
// Internal to kernels/; the rules on linkage are in kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_UNROLL_H_
#define SLUICE_KERNELS_UNROLL_H_

#include <cstddef>

namespace sluice::kernels {
namespace {

// Calls f(Index<0>{}), ..., f(Index<n - 1>{}). Unlike a loop it leaves no
// variable index, whatever the compiler, so arrays of accumulators can live in
// registers.
template <std::size_t kValue>
struct Index {
  // NOLINTNEXTLINE(google-explicit-constructor): it stands for a number.
  constexpr operator std::size_t() const { return kValue; }
};
template <std::size_t n, std::size_t i = 0, class F>
[[gnu::always_inline]] inline void Unroll(const F& f) {
  if constexpr (i < n) {
    f(Index<i>{});
    Unroll<n, i + 1>(f);
  }
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_UNROLL_H_
