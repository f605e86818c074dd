#include "kernels/isa_parts.h"
#include "kernels/peak_impl.h"

namespace sluice::kernels {
namespace {

struct PeakScalar {
  using Reg = std::uint64_t;
  static constexpr std::size_t kBytes = 8;
  static constexpr std::uint64_t kMacs = 1;

  static Reg Load(const std::byte* p) {
    Reg value = 0;
    __builtin_memcpy(&value, p, sizeof(value));
    return value;
  }
  static Reg Or(Reg a, Reg b) { return a | b; }
  static std::uint64_t Low(Reg a) { return a; }
  static Reg MultiplyAdd(Reg acc, Reg u, Reg s) {
    return acc + (u & 0xFF) * ((s + acc) & 0xFF);
  }
};

}  // namespace

void AddPeakScalar(KernelTable& table) { AddPeak<PeakScalar>(table); }

}  // namespace sluice::kernels
