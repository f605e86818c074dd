#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/peak_arm.h"

namespace sluice::kernels {
namespace {

struct PeakDotprod : PeakArm {
  static constexpr std::uint64_t kMacs = 16;

  static Reg MultiplyAdd(Reg acc, Reg u, Reg s) {
    return vdotq_s32(acc, vreinterpretq_s8_s32(u), vreinterpretq_s8_s32(s));
  }
};

}  // namespace

void AddPeakDotprod(KernelTable& table) { AddPeak<PeakDotprod>(table); }

}  // namespace sluice::kernels

#endif
