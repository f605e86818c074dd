// Products of rows8 weights with the int8 matrix instructions.
#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/quant_arm_table.h"
#include "kernels/quant_pairs_i8mm.h"

namespace sluice::kernels {
namespace {

struct Products {
  template <template <typename> typename Codec>
  static void Rows8(const MatmulArgs& args) {
    PairsMatmul<Rows8Layout<Codec<PairOps>>, Codec<PairOps>>(
        args, Rows8Few<PairOps, Codec<PairOps>, 1>);
  }
};

}  // namespace

void AddRows8I8mm(KernelTable& table) { AddRows8Products<Products>(table); }

}  // namespace sluice::kernels

#endif
