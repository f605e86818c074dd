// Which instruction sets the processor and the operating system support.
#include "kernels/kernel_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace sluice::kernels {

#if defined(__x86_64__)
namespace {

// XCR0: the register state that the operating system saves on a task switch.
// REQUIRES: cpuid reports OSXSAVE.
std::uint64_t EnabledState() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

}  // namespace
#endif

CpuFeatures DetectCpuFeatures() {
  CpuFeatures features;
#if defined(__x86_64__)
  constexpr std::uint32_t kLeaf1Ecx =
      bit_FMA | bit_F16C | bit_OSXSAVE | bit_AVX;
  constexpr std::uint32_t kLeaf7Avx512 =
      bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
  // SSE and AVX registers; with them the mask registers, the upper halves of
  // zmm0-15, and zmm16-31.
  constexpr std::uint64_t kAvxState = 0x06;
  constexpr std::uint64_t kAvx512State = 0xE6;

  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return features;
  if ((ecx & kLeaf1Ecx) != kLeaf1Ecx) return features;
  const std::uint64_t state = EnabledState();
  if ((state & kAvxState) != kAvxState) return features;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return features;
  features.avx2_fma_f16c = (ebx & bit_AVX2) != 0;
  if ((state & kAvx512State) != kAvx512State) return features;
  features.avx512 = (ebx & kLeaf7Avx512) == kLeaf7Avx512;
  features.avx512_vnni = (ecx & bit_AVX512VNNI) != 0;
#elif defined(__aarch64__)
  const std::uint64_t first = getauxval(AT_HWCAP);
  const std::uint64_t second = getauxval(AT_HWCAP2);
  features.neon = (first & HWCAP_ASIMD) != 0;
  features.dotprod = (first & HWCAP_ASIMDDP) != 0;
  features.i8mm = (second & HWCAP2_I8MM) != 0;
#endif
  return features;
}

}  // namespace sluice::kernels
