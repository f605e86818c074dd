// Products of rows8 weights with AVX2: the K types and IQ4_XS.
#include "kernels/rows8_parts.h"

#if defined(__x86_64__)

#include "kernels/quant_ternary_codecs.h"
#include "kernels/rows8_ops_avx2.h"
#include "kernels/rows8_plane_codecs.h"
#include "kernels/rows8_super_codecs.h"

namespace sluice::kernels {
namespace {

template <typename Codec>
void Add(KernelTable& table, WeightType type) {
  table.matmul_rows8[static_cast<std::size_t>(type)] =
      Rows8Matmul<Rows8Avx2, Codec>;
}

}  // namespace

void AddRows8SuperAvx2(KernelTable& table) {
  Add<Rows8Q2_K<Rows8Avx2>>(table, WeightType::kQ2_K);
  Add<Rows8Q3_K<Rows8Avx2>>(table, WeightType::kQ3_K);
  Add<Rows8Q4_K<Rows8Avx2>>(table, WeightType::kQ4_K);
  Add<Rows8Q5_K<Rows8Avx2>>(table, WeightType::kQ5_K);
  Add<Rows8Q6_K<Rows8Avx2>>(table, WeightType::kQ6_K);
  Add<Rows8IQ4_XS<Rows8Avx2>>(table, WeightType::kIQ4_XS);
  Add<Rows8TQ1_0<Rows8Avx2>>(table, WeightType::kTQ1_0);
  Add<Rows8TQ2_0<Rows8Avx2>>(table, WeightType::kTQ2_0);
  Add<Rows8Plane2<Rows8Avx2>>(table, WeightType::kPlane2);
  table.matmul_planes = Rows8Matmul<Rows8Avx2, Rows8Planes<Rows8Avx2>>;
}

}  // namespace sluice::kernels

#endif
