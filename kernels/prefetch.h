// PrefetchAhead: asks for the cache line of memory that will be read soon, and
// PrefetchFarAhead for one that will be read later.
//
// Internal to kernels/; the rules on linkage are in kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_PREFETCH_H_
#define SLUICE_KERNELS_PREFETCH_H_

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {
namespace {

// The line `bytes` beyond p. An address that is nobody's does no harm; it is
// reckoned as an integer because a pointer must not leave its array.
inline void PrefetchAhead(const void* p, std::size_t bytes) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  __builtin_prefetch(reinterpret_cast<const void*>(
      reinterpret_cast<std::uintptr_t>(p) + bytes));
}

// The same for the second-level cache: more lines can be on their way to it
// than to the first.
inline void PrefetchFarAhead(const void* p, std::size_t bytes) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  __builtin_prefetch(reinterpret_cast<const void*>(
                         reinterpret_cast<std::uintptr_t>(p) + bytes),
                     0, 2);
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_PREFETCH_H_
