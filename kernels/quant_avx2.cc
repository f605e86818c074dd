// Quantised products with AVX2.
#include "kernels/isa_parts.h"

#if defined(__x86_64__)

namespace sluice::kernels {

void AddQuantAvx2(KernelTable& table) { AddQuantScalar(table); }

}  // namespace sluice::kernels

#endif
