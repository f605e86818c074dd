#include "kernels/isa_parts.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/peak_impl.h"

namespace sluice::kernels {
namespace {

struct PeakAvx2 {
  using Reg = __m256i;
  static constexpr std::size_t kBytes = 32;
  static constexpr std::uint64_t kMacs = 32;

  static Reg Load(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Reg Or(Reg a, Reg b) { return _mm256_or_si256(a, b); }
  static std::uint64_t Low(Reg a) {
    return static_cast<std::uint64_t>(_mm256_extract_epi64(a, 0));
  }
  // The accumulator is an operand of the product, or it would be computed once.
  static Reg MultiplyAdd(Reg acc, Reg u, Reg s) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_or_si256(u, acc), s);
    return _mm256_add_epi32(acc,
                            _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

}  // namespace

void AddPeakAvx2(KernelTable& table) { AddPeak<PeakAvx2>(table); }

}  // namespace sluice::kernels

#endif
