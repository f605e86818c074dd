// Quantised products with AVX2: the types with blocks of 32.
#include "kernels/isa_parts.h"

#if defined(__x86_64__)

#include "kernels/quant_ops_avx2.h"
#include "kernels/quant_parts.h"
#include "kernels/quant_plain_codecs.h"

namespace sluice::kernels {
namespace {

template <typename Codec>
void Add(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = PanelMatmul<Avx2, Codec>;
}

}  // namespace

void AddQuantAvx2(KernelTable& table) {
  AddSuperAvx2(table);
  AddQuantizeAvx2(table);
  Add<PanelQ8_0<Avx2>>(table, WeightType::kQ8_0);
  Add<PanelQ4_0<Avx2>>(table, WeightType::kQ4_0);
  Add<PanelQ4_1<Avx2>>(table, WeightType::kQ4_1);
  Add<PanelQ5_0<Avx2>>(table, WeightType::kQ5_0);
  Add<PanelQ5_1<Avx2>>(table, WeightType::kQ5_1);
  Add<PanelIQ4_NL<Avx2>>(table, WeightType::kIQ4_NL);
  Add<PanelMXFP4<Avx2>>(table, WeightType::kMXFP4);
}

}  // namespace sluice::kernels

#endif
