// Quantised products with the int8 matrix instructions.
#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/quant_arm_table.h"
#include "kernels/quant_pairs_i8mm.h"

namespace sluice::kernels {
namespace {

struct Products {
  template <template <typename> typename Codec>
  static void Rows(const MatmulArgs& args) {
    PairsMatmul<RowMajorLayout<Codec<PairOps>>, Codec<PairOps>>(
        args, Single<Codec<Dotprod>>);
  }

 private:
  template <typename Codec>
  static void Single(const MatmulArgs& args) {
    for (std::size_t row = args.row_begin; row < args.row_end; row += kRows8) {
      const std::size_t left = args.row_end - row;
      Tile<Dotprod, Codec, 1>(args, row, left < kRows8 ? left : kRows8, 0);
    }
  }
};

}  // namespace

void AddQuantI8mm(KernelTable& table) { AddRowMajorProducts<Products>(table); }

}  // namespace sluice::kernels

#endif
