// The registers of peak_impl.h for 64-bit Arm; what multiplies is added by
// peak_{neon,dotprod,i8mm}.cc.
#ifndef SLUICE_KERNELS_PEAK_ARM_H_
#define SLUICE_KERNELS_PEAK_ARM_H_

#include <arm_neon.h>

#include "kernels/peak_impl.h"

namespace sluice::kernels {
namespace {

struct PeakArm {
  using Reg = int32x4_t;
  static constexpr std::size_t kBytes = 16;

  static Reg Load(const std::byte* p) {
    return vreinterpretq_s32_u8(
        vld1q_u8(reinterpret_cast<const std::uint8_t*>(p)));
  }
  static Reg Or(Reg a, Reg b) { return vorrq_s32(a, b); }
  static std::uint64_t Low(Reg a) {
    return vgetq_lane_u64(vreinterpretq_u64_s32(a), 0);
  }
};

}  // namespace
}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_PEAK_ARM_H_
