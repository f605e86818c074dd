#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/peak_arm.h"

namespace sluice::kernels {
namespace {

struct PeakNeon : PeakArm {
  static constexpr std::uint64_t kMacs = 16;

  // The accumulator is an operand of the products, or a compiler could compute
  // them once. Sums of 16 bits, which wrap here.
  static Reg MultiplyAdd(Reg acc, Reg u, Reg s) {
    const int8x16_t x = vreinterpretq_s8_s32(acc);
    const int8x8_t low = vget_low_s8(vreinterpretq_s8_s32(u));
    const int16x8_t half =
        vmlal_s8(vreinterpretq_s16_s32(acc), vget_low_s8(x), low);
    return vreinterpretq_s32_s16(
        vmlal_high_s8(half, x, vreinterpretq_s8_s32(s)));
  }
};

}  // namespace

void AddPeakNeon(KernelTable& table) { AddPeak<PeakNeon>(table); }

}  // namespace sluice::kernels

#endif
