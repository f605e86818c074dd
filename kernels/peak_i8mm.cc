#include "kernels/isa_parts.h"

#if defined(__aarch64__)

#include "kernels/peak_arm.h"

namespace sluice::kernels {
namespace {

struct PeakI8mm : PeakArm {
  static constexpr std::uint64_t kMacs = 32;

  static Reg MultiplyAdd(Reg acc, Reg u, Reg s) {
    return vmmlaq_s32(acc, vreinterpretq_s8_s32(u), vreinterpretq_s8_s32(s));
  }
};

}  // namespace

void AddPeakI8mm(KernelTable& table) { AddPeak<PeakI8mm>(table); }

}  // namespace sluice::kernels

#endif
