// Which instruction sets the machine has, and the table of each.
#include <array>

#include "kernels/isa_parts.h"
#include "kernels/kernel_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace sluice::kernels {
namespace {

// A table starts as a copy of the next best one, so that a routine written for
// no instruction set in particular, or not yet for this one, has an entry in
// all. Results are the same to the bit whichever it is.
KernelTable MakeScalarTable() {
  KernelTable table;
  table.name = "scalar";
  AddQuantScalar(table);
  AddRows8Scalar(table);
  AddVectorScalar(table);
  AddPeakScalar(table);
  return table;
}

#if defined(__x86_64__)

KernelTable MakeAvx2Table() {
  KernelTable table = MakeScalarTable();
  table.name = "avx2";
  AddQuantAvx2(table);
  AddRows8Avx2(table);
  AddVectorAvx2(table);
  AddPeakAvx2(table);
  return table;
}

KernelTable MakeAvx512Table() {
  KernelTable table = MakeAvx2Table();
  table.name = "avx512";
  AddQuantAvx512(table);
  AddRows8Avx512(table);
  AddVectorAvx512(table);
  AddPeakAvx512(table);
  return table;
}

// How many of the tables, counted from the last, run on `features`. The avx512
// files are built with VNNI and inherit routines of AVX2, so they need both.
std::size_t TablesFor(const CpuFeatures& features) {
  if (!features.avx2_fma_f16c) return 1;
  return features.avx512 && features.avx512_vnni ? 3 : 2;
}

std::span<const KernelTable* const> AllTables() {
  static const KernelTable scalar = MakeScalarTable();
  static const KernelTable avx2 = MakeAvx2Table();
  static const KernelTable avx512 = MakeAvx512Table();
  static const std::array<const KernelTable*, 3> tables = {&avx512, &avx2,
                                                           &scalar};
  return tables;
}

// XCR0: the register state that the operating system saves on a task switch.
// REQUIRES: cpuid reports OSXSAVE.
std::uint64_t EnabledState() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

#else

std::size_t TablesFor(const CpuFeatures&) { return 1; }

std::span<const KernelTable* const> AllTables() {
  static const KernelTable scalar = MakeScalarTable();
  static const std::array<const KernelTable*, 1> tables = {&scalar};
  return tables;
}

#endif  // __x86_64__

}  // namespace

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
#endif
  return features;
}

std::span<const KernelTable* const> AvailableTables(
    const CpuFeatures& features) {
  return AllTables().last(TablesFor(features));
}

const KernelTable* FindTable(const CpuFeatures& features,
                             std::string_view name) {
  for (const KernelTable* table : AvailableTables(features)) {
    if (table->name == name) return table;
  }
  return nullptr;
}

}  // namespace sluice::kernels
