// Bounds: what the hardware allows, next to what was reached.
//
// From HardwareReport, measured in the same run: decode cannot be faster than
// reading the weights that a token touches, nor than reading the missed ones
// from flash; a prompt not than its multiplications, nor its reads. Where
// memory and flash take from each other, it cannot be as fast as that either:
// the time "at once" is what both take with the best overlap of the two, each
// at the rate it then has.
//
// Thread safety: values and a pure function.
#ifndef SLUICE_TOOLS_BOUNDS_H_
#define SLUICE_TOOLS_BOUNDS_H_

#include <array>
#include <cstddef>
#include <optional>

#include "engine/sluice.h"
#include "tools/report.h"

namespace sluice::tools {

struct Bounds {
  std::optional<double> prefill_bound_tokens_per_second;
  std::optional<double> decode_bound_tokens_per_second;
  std::optional<double> prefill_share;  // of its bound, 0 to 1
  std::optional<double> decode_share;
  // By both at once; streaming alone.
  std::optional<double> decode_at_once_tokens_per_second;
  std::optional<double> decode_share_at_once;
  std::optional<double> dram_bytes_per_second;
  std::optional<double> flash_bytes_per_second;
  std::optional<double> dram_beside_flash_bytes_per_second;
  std::optional<double> flash_beside_dram_bytes_per_second;
  std::optional<double> int8_macs_per_second;
};

// The least seconds in which `dram` bytes of memory and `flash` bytes of flash
// are read, by the hardware's rates alone and beside each other.
// REQUIRES: all four are known.
double SecondsAtOnce(const HardwareReport& hardware, double dram, double flash);

// Of one run; figures without a meaning are absent.
Bounds BoundsOf(const HardwareReport& hardware, const Timings& timings,
                std::size_t prompt_tokens);

// The rates halfway between two measurements, before and after a run: those of
// a machine that others use drift.
HardwareReport Between(const HardwareReport& before,
                       const HardwareReport& after);

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
    BoundField{"decode_at_once_tokens_per_second",
               &Bounds::decode_at_once_tokens_per_second},
    BoundField{"decode_share_at_once", &Bounds::decode_share_at_once},
    BoundField{"dram_bytes_per_second", &Bounds::dram_bytes_per_second},
    BoundField{"flash_bytes_per_second", &Bounds::flash_bytes_per_second},
    BoundField{"dram_beside_flash_bytes_per_second",
               &Bounds::dram_beside_flash_bytes_per_second},
    BoundField{"flash_beside_dram_bytes_per_second",
               &Bounds::flash_beside_dram_bytes_per_second},
    BoundField{"int8_macs_per_second", &Bounds::int8_macs_per_second},
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_BOUNDS_H_
