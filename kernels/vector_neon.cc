// The float part of the neon table (kernels/isa_parts.h).
#if defined(__aarch64__)

#include "kernels/isa_parts.h"
#include "kernels/vec16_neon.h"
#include "kernels/vector_table_impl.h"

namespace sluice::kernels {

void AddVectorNeon(KernelTable& table) { AddVectorEntries<NeonVec16>(table); }

}  // namespace sluice::kernels

#endif  // __aarch64__
