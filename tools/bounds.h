// Bounds: what the hardware allows, next to what was reached.
//
// Not measured yet: every figure is absent, and reports show null. The names
// are the ones that `bench --json` promises.
//
// Thread safety: values.
#ifndef SLUICE_TOOLS_BOUNDS_H_
#define SLUICE_TOOLS_BOUNDS_H_

#include <array>
#include <optional>

namespace sluice::tools {

struct Bounds {
  std::optional<double> prefill_bound_tokens_per_second;
  std::optional<double> decode_bound_tokens_per_second;
  std::optional<double> prefill_share;  // of its bound, 0 to 1
  std::optional<double> decode_share;
  std::optional<double> dram_bytes_per_second;
  std::optional<double> flash_bytes_per_second;
};

// The JSON name of each figure.
struct BoundField {
  const char* name;
  std::optional<double> Bounds::* value;
};
inline constexpr std::array kBoundFields = {
    BoundField{"prefill_bound_tokens_per_second",
               &Bounds::prefill_bound_tokens_per_second},
    BoundField{"decode_bound_tokens_per_second",
               &Bounds::decode_bound_tokens_per_second},
    BoundField{"prefill_share", &Bounds::prefill_share},
    BoundField{"decode_share", &Bounds::decode_share},
    BoundField{"dram_bytes_per_second", &Bounds::dram_bytes_per_second},
    BoundField{"flash_bytes_per_second", &Bounds::flash_bytes_per_second},
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_BOUNDS_H_
