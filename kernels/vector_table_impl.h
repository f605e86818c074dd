// The float entries of a KernelTable for one Vec16 type: what the three
// vector_*.cc have in common. The rules on linkage are in
// kernels/vec16_scalar.h.
#ifndef SLUICE_KERNELS_VECTOR_TABLE_IMPL_H_
#define SLUICE_KERNELS_VECTOR_TABLE_IMPL_H_

#include "kernels/attention_impl.h"
#include "kernels/float_matmul_impl.h"
#include "kernels/kernel_table.h"
#include "kernels/plane_fit_impl.h"
#include "kernels/vector_ops_impl.h"

namespace sluice::kernels {
namespace {

template <class V>
void AddVectorEntries(KernelTable& table) {
  AddVectorOps<V>(table);
  AddFloatMatmul<V>(table);
  table.attention = Attention<V>;
  table.fit_planes = FitPlaneBlock<V>;
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_VECTOR_TABLE_IMPL_H_
