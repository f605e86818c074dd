// Quantised products with AVX-512.
#include "kernels/isa_parts.h"

#if defined(__x86_64__)

namespace sluice::kernels {

void AddQuantAvx512(KernelTable& table) { AddQuantScalar(table); }

}  // namespace sluice::kernels

#endif
