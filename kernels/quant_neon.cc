// Quantised products with NEON.
#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/quant_arm_table.h"
#include "kernels/quant_ops_neon.h"
#include "kernels/quant_parts.h"

namespace sluice::kernels {
namespace {

struct Products {
  template <template <typename> typename Codec>
  static void Rows(const MatmulArgs& args) {
    PanelMatmul<Neon, Codec<Neon>>(args);
  }
};

}  // namespace

void AddQuantNeon(KernelTable& table) {
  AddQuantizeNeon(table);
  AddRowMajorProducts<Products>(table);
}

}  // namespace sluice::kernels

#endif
