#include "kernels/isa_parts.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/peak_impl.h"

namespace sluice::kernels {
namespace {

struct PeakAvx512 {
  using Reg = __m512i;
  static constexpr std::size_t kBytes = 64;
  static constexpr std::uint64_t kMacs = 64;

  static Reg Load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Reg Or(Reg a, Reg b) { return _mm512_or_si512(a, b); }
  static std::uint64_t Low(Reg a) { return static_cast<std::uint64_t>(a[0]); }
  static Reg MultiplyAdd(Reg acc, Reg u, Reg s) {
    return _mm512_dpbusd_epi32(acc, u, s);
  }
};

}  // namespace

// The table has AVX2's routines so far.
void AddPeakAvx512(KernelTable& table) {
  table.read_peak_narrow = table.read_peak;
  AddPeak<PeakAvx512>(table);
}

}  // namespace sluice::kernels

#endif
