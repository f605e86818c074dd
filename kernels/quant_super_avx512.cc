// Quantised products with AVX-512 and VNNI: the K types, IQ4_XS and the ternary
// ones.
#include "kernels/quant_parts.h"

#if defined(__x86_64__)

#include "kernels/quant_ops_avx512.h"
#include "kernels/quant_super_codecs.h"
#include "kernels/quant_ternary_codecs.h"

namespace sluice::kernels {
namespace {

template <typename Codec>
void Add(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = PanelMatmul<Avx512, Codec>;
}

}  // namespace

void AddSuperAvx512(KernelTable& table) {
  Add<PanelQ2_K<Avx512>>(table, WeightType::kQ2_K);
  Add<PanelQ3_K<Avx512>>(table, WeightType::kQ3_K);
  Add<PanelQ4_K<Avx512>>(table, WeightType::kQ4_K);
  Add<PanelQ5_K<Avx512>>(table, WeightType::kQ5_K);
  Add<PanelQ6_K<Avx512>>(table, WeightType::kQ6_K);
  Add<PanelIQ4_XS<Avx512>>(table, WeightType::kIQ4_XS);
  Add<PanelTQ1_0<Avx512>>(table, WeightType::kTQ1_0);
  Add<PanelTQ2_0<Avx512>>(table, WeightType::kTQ2_0);
}

}  // namespace sluice::kernels

#endif
