// Quantised products with AVX-512 and VNNI: the types with blocks of 32.
#include "kernels/isa_parts.h"

#if defined(__x86_64__)

#include "kernels/quant_ops_avx512.h"
#include "kernels/quant_parts.h"
#include "kernels/quant_plain_codecs.h"

namespace sluice::kernels {
namespace {

template <typename Codec>
void Add(KernelTable& table, WeightType type) {
  table.matmul[static_cast<std::size_t>(type)] = PanelMatmul<Avx512, Codec>;
}

}  // namespace

void AddQuantAvx512(KernelTable& table) {
  AddSuperAvx512(table);
  Add<PanelQ8_0<Avx512>>(table, WeightType::kQ8_0);
  Add<PanelQ4_0<Avx512>>(table, WeightType::kQ4_0);
  Add<PanelQ4_1<Avx512>>(table, WeightType::kQ4_1);
  Add<PanelQ5_0<Avx512>>(table, WeightType::kQ5_0);
  Add<PanelQ5_1<Avx512>>(table, WeightType::kQ5_1);
  Add<PanelIQ4_NL<Avx512>>(table, WeightType::kIQ4_NL);
  Add<PanelMXFP4<Avx512>>(table, WeightType::kMXFP4);
}

}  // namespace sluice::kernels

#endif
