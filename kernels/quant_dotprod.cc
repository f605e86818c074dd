// Quantised products with the dot product instructions.
#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/quant_arm_table.h"
#include "kernels/quant_ops_dotprod.h"

namespace sluice::kernels {
namespace {

struct Products {
  template <template <typename> typename Codec>
  static void Rows(const MatmulArgs& args) {
    PanelMatmul<Dotprod, Codec<Dotprod>>(args);
  }
};

}  // namespace

void AddQuantDotprod(KernelTable& table) {
  AddRowMajorProducts<Products>(table);
}

}  // namespace sluice::kernels

#endif
