// The float part of the avx2 table (kernels/isa_parts.h).
#if defined(__x86_64__)

#include "kernels/isa_parts.h"
#include "kernels/vec16_avx2.h"
#include "kernels/vector_table_impl.h"

namespace sluice::kernels {

void AddVectorAvx2(KernelTable& table) { AddVectorEntries<Avx2Vec16>(table); }

}  // namespace sluice::kernels

#endif  // __x86_64__
