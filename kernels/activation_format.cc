#include "kernels/activations.h"
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
    case WeightType::kTQ1_0:
    case WeightType::kTQ2_0:
    case WeightType::kPlane2:
      return ActivationFormat::kQ8x256;
    default:
      return ActivationFormat::kQ8x32;
  }
}

std::size_t ActivationBytes(ActivationFormat format, std::size_t columns) {
  switch (format) {
    case ActivationFormat::kF32:
      return PadTo64(columns * sizeof(float));
    case ActivationFormat::kQ8x32:
      return Q8x32Layout(columns).bytes;
    case ActivationFormat::kQ8x256:
      return Q8x256Layout(columns).bytes;
  }
  return 0;
}

}  // namespace sluice::kernels
