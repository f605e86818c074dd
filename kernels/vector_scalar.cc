// The float part of the scalar table (kernels/isa_parts.h).
#include "kernels/isa_parts.h"
#include "kernels/vec16_scalar.h"
#include "kernels/vector_table_impl.h"

namespace sluice::kernels {

void AddVectorScalar(KernelTable& table) {
  AddVectorEntries<ScalarVec16>(table);
}

}  // namespace sluice::kernels
