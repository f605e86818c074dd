// Products of rows8 weights with the dot product instructions.
#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/quant_arm_table.h"
#include "kernels/quant_ops_dotprod.h"
#include "kernels/rows8_ops_arm.h"

namespace sluice::kernels {
namespace {

struct Products {
  using V = Rows8Arm<Dotprod>;
  template <template <typename> typename Codec>
  static void Rows8(const MatmulArgs& args) {
    Rows8Matmul<V, Codec<V>>(args);
  }
};

}  // namespace

void AddRows8Dotprod(KernelTable& table) { AddRows8Products<Products>(table); }

}  // namespace sluice::kernels

#endif
