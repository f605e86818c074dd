#include "kernels/kernel_table.h"

namespace sluice::kernels {

ActivationFormat FormatFor(WeightType type) {
  switch (type) {
    case WeightType::kF32:
    case WeightType::kF16:
    case WeightType::kBF16:
      return ActivationFormat::kF32;
    case WeightType::kQ2_K:
    case WeightType::kQ3_K:
    case WeightType::kQ4_K:
    case WeightType::kQ5_K:
    case WeightType::kQ6_K:
    case WeightType::kIQ4_XS:
      return ActivationFormat::kQ8x256;
    default:
      return ActivationFormat::kQ8x32;
  }
}

}  // namespace sluice::kernels
