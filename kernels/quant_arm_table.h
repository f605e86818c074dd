// The entries of the quantised products for one Arm instruction set, which P
// stands for:
//
//   P::Rows<Codec>(args)    a product of row-major weights
//   P::Rows8<Codec>(args)   one of weights in the rows8 layout
//
// Codec is a template over the vector type. Included by quant_X.cc and
// rows8_X.cc of each instruction set X alone; everything has internal linkage.
#ifndef SLUICE_KERNELS_QUANT_ARM_TABLE_H_
#define SLUICE_KERNELS_QUANT_ARM_TABLE_H_

#include "kernels/quant_plain_codecs.h"
#include "kernels/quant_super_codecs.h"
#include "kernels/quant_ternary_codecs.h"
#include "kernels/rows8_plain_codecs.h"
#include "kernels/rows8_plane_codecs.h"
#include "kernels/rows8_super_codecs.h"

namespace sluice::kernels {
namespace {

template <typename P>
void AddRowMajorProducts(KernelTable& table) {
  const auto add = [&table](WeightType type, MatmulFn matmul) {
    table.matmul[static_cast<std::size_t>(type)] = matmul;
  };
  add(WeightType::kQ8_0, P::template Rows<PanelQ8_0>);
  add(WeightType::kQ4_0, P::template Rows<PanelQ4_0>);
  add(WeightType::kQ4_1, P::template Rows<PanelQ4_1>);
  add(WeightType::kQ5_0, P::template Rows<PanelQ5_0>);
  add(WeightType::kQ5_1, P::template Rows<PanelQ5_1>);
  add(WeightType::kIQ4_NL, P::template Rows<PanelIQ4_NL>);
  add(WeightType::kMXFP4, P::template Rows<PanelMXFP4>);
  add(WeightType::kQ2_K, P::template Rows<PanelQ2_K>);
  add(WeightType::kQ3_K, P::template Rows<PanelQ3_K>);
  add(WeightType::kQ4_K, P::template Rows<PanelQ4_K>);
  add(WeightType::kQ5_K, P::template Rows<PanelQ5_K>);
  add(WeightType::kQ6_K, P::template Rows<PanelQ6_K>);
  add(WeightType::kIQ4_XS, P::template Rows<PanelIQ4_XS>);
  add(WeightType::kTQ1_0, P::template Rows<PanelTQ1_0>);
  add(WeightType::kTQ2_0, P::template Rows<PanelTQ2_0>);
}

template <typename P>
void AddRows8Products(KernelTable& table) {
  const auto add = [&table](WeightType type, MatmulFn matmul) {
    table.matmul_rows8[static_cast<std::size_t>(type)] = matmul;
  };
  add(WeightType::kQ8_0, P::template Rows8<Rows8Q8_0>);
  add(WeightType::kQ4_0, P::template Rows8<Rows8Q4_0>);
  add(WeightType::kQ4_1, P::template Rows8<Rows8Q4_1>);
  add(WeightType::kQ5_0, P::template Rows8<Rows8Q5_0>);
  add(WeightType::kQ5_1, P::template Rows8<Rows8Q5_1>);
  add(WeightType::kIQ4_NL, P::template Rows8<Rows8IQ4_NL>);
  add(WeightType::kMXFP4, P::template Rows8<Rows8MXFP4>);
  add(WeightType::kQ2_K, P::template Rows8<Rows8Q2_K>);
  add(WeightType::kQ3_K, P::template Rows8<Rows8Q3_K>);
  add(WeightType::kQ4_K, P::template Rows8<Rows8Q4_K>);
  add(WeightType::kQ5_K, P::template Rows8<Rows8Q5_K>);
  add(WeightType::kQ6_K, P::template Rows8<Rows8Q6_K>);
  add(WeightType::kIQ4_XS, P::template Rows8<Rows8IQ4_XS>);
  add(WeightType::kTQ1_0, P::template Rows8<Rows8TQ1_0>);
  add(WeightType::kTQ2_0, P::template Rows8<Rows8TQ2_0>);
  add(WeightType::kPlane2, P::template Rows8<Rows8Plane2>);
  table.matmul_planes = P::template Rows8<Rows8Planes>;
}

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_ARM_TABLE_H_
