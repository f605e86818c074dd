// Stands in for the products of quantised weights until they land.
#include "kernels/isa_parts.h"

namespace sluice::kernels {

void AddQuantScalar(KernelTable&) {}
#if defined(__x86_64__)
void AddQuantAvx2(KernelTable&) {}
void AddQuantAvx512(KernelTable&) {}
#endif

}  // namespace sluice::kernels
