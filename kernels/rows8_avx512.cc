// Products of rows8 weights with AVX-512 and VNNI: the types with blocks of 32.
#include "kernels/isa_parts.h"

#if defined(__x86_64__)

#include <type_traits>

#include "kernels/rows8_ops_avx512.h"
#include "kernels/rows8_ops_vnni256.h"
#include "kernels/rows8_parts.h"
#include "kernels/rows8_plain_codecs.h"

namespace sluice::kernels {
namespace {

// What a single token is multiplied with. Weights of whole bytes are read from
// memory faster into pairs of int16 than with VNNI (bench/LEARNED.md, 79).
template <template <typename> typename Codec>
using SingleOps = std::conditional_t<Codec<Rows8Vnni256>::kMax == kWide,
                                     Rows8Avx2, Rows8Vnni256>;

template <template <typename> typename Codec>
void Matmul(const MatmulArgs& args) {
  if (args.tokens == 1) {
    using Ops = SingleOps<Codec>;
    return Rows8Few<Ops, Codec<Ops>, 1>(args);
  }
  if (args.tokens == 2) {
    return Rows8Few<Rows8Vnni256, Codec<Rows8Vnni256>, 2>(args);
  }
  Rows8Matmul<Rows8Avx512, Codec<Rows8Avx512>>(args);
}

template <template <typename> typename Codec>
void Add(KernelTable& table, WeightType type) {
  table.matmul_rows8[static_cast<std::size_t>(type)] = Matmul<Codec>;
}

}  // namespace

void AddRows8Avx512(KernelTable& table) {
  AddRows8SuperAvx512(table);
  Add<Rows8Q8_0>(table, WeightType::kQ8_0);
  Add<Rows8Q4_0>(table, WeightType::kQ4_0);
  Add<Rows8Q4_1>(table, WeightType::kQ4_1);
  Add<Rows8Q5_0>(table, WeightType::kQ5_0);
  Add<Rows8Q5_1>(table, WeightType::kQ5_1);
  Add<Rows8IQ4_NL>(table, WeightType::kIQ4_NL);
  Add<Rows8MXFP4>(table, WeightType::kMXFP4);
}

}  // namespace sluice::kernels

#endif
