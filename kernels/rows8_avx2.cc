// Products of rows8 weights with AVX2: the types with blocks of 32.
#include "kernels/isa_parts.h"

#if defined(__x86_64__)

#include "kernels/rows8_ops_avx2.h"
#include "kernels/rows8_parts.h"
#include "kernels/rows8_plain_codecs.h"

namespace sluice::kernels {
namespace {

template <typename Codec>
void Add(KernelTable& table, WeightType type) {
  table.matmul_rows8[static_cast<std::size_t>(type)] =
      Rows8Matmul<Rows8Avx2, Codec>;
}

}  // namespace

void AddRows8Avx2(KernelTable& table) {
  AddRows8SuperAvx2(table);
  Add<Rows8Q8_0<Rows8Avx2>>(table, WeightType::kQ8_0);
  Add<Rows8Q4_0<Rows8Avx2>>(table, WeightType::kQ4_0);
  Add<Rows8Q4_1<Rows8Avx2>>(table, WeightType::kQ4_1);
  Add<Rows8Q5_0<Rows8Avx2>>(table, WeightType::kQ5_0);
  Add<Rows8Q5_1<Rows8Avx2>>(table, WeightType::kQ5_1);
  Add<Rows8IQ4_NL<Rows8Avx2>>(table, WeightType::kIQ4_NL);
  Add<Rows8MXFP4<Rows8Avx2>>(table, WeightType::kMXFP4);
}

}  // namespace sluice::kernels

#endif
