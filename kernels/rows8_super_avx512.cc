// Products of rows8 weights with AVX-512 and VNNI: the K types and IQ4_XS.
#include "kernels/rows8_parts.h"

#if defined(__x86_64__)

#include "kernels/quant_ternary_codecs.h"
#include "kernels/rows8_ops_avx512.h"
#include "kernels/rows8_ops_vnni256.h"
#include "kernels/rows8_plane_codecs.h"
#include "kernels/rows8_super_codecs.h"

namespace sluice::kernels {
namespace {

template <template <typename> typename Codec>
void Add(KernelTable& table, WeightType type) {
  table.matmul_rows8[static_cast<std::size_t>(type)] =
      Rows8Matmul<Rows8Avx512, Codec<Rows8Avx512>>;
}

// A single token of these types is bound by memory, of the others here by
// unpacking, which is faster for two row groups at a time.
template <template <typename> typename Codec>
void Matmul(const MatmulArgs& args) {
  if (args.tokens == 1) {
    return Rows8Few<Rows8Vnni256, Codec<Rows8Vnni256>, 1>(args);
  }
  Rows8Matmul<Rows8Avx512, Codec<Rows8Avx512>>(args);
}

template <template <typename> typename Codec>
void AddStreamed(KernelTable& table, WeightType type) {
  table.matmul_rows8[static_cast<std::size_t>(type)] = Matmul<Codec>;
}

}  // namespace

void AddRows8SuperAvx512(KernelTable& table) {
  Add<Rows8Q2_K>(table, WeightType::kQ2_K);
  Add<Rows8Q3_K>(table, WeightType::kQ3_K);
  AddStreamed<Rows8Q4_K>(table, WeightType::kQ4_K);
  AddStreamed<Rows8Q5_K>(table, WeightType::kQ5_K);
  AddStreamed<Rows8Q6_K>(table, WeightType::kQ6_K);
  Add<Rows8IQ4_XS>(table, WeightType::kIQ4_XS);
  Add<Rows8TQ1_0>(table, WeightType::kTQ1_0);
  Add<Rows8TQ2_0>(table, WeightType::kTQ2_0);
  Add<Rows8Plane2>(table, WeightType::kPlane2);
  table.matmul_planes = Rows8Matmul<Rows8Avx512, Rows8Planes<Rows8Avx512>>;
}

}  // namespace sluice::kernels

#endif
