#include "tools/bounds.h"

#include <algorithm>

namespace sluice::tools {
namespace {

// Seconds to move `bytes` at `rate`; none when nothing is known of the rate.
double Seconds(std::optional<double> bytes, double rate) {
  return bytes && rate > 0 ? *bytes / rate : 0;
}

}  // namespace

Bounds BoundsOf(const HardwareReport& hardware, const Timings& timings,
                std::size_t prompt_tokens) {
  Bounds bounds;
  bounds.dram_bytes_per_second = hardware.dram_bytes_per_second;
  bounds.int8_macs_per_second = hardware.int8_macs_per_second;
  if (hardware.flash_bytes_per_second > 0) {
    bounds.flash_bytes_per_second = hardware.flash_bytes_per_second;
  }
  const double decode = std::max(
      Seconds(static_cast<double>(hardware.decode_bytes),
              hardware.dram_bytes_per_second),
      Seconds(timings.flash_bytes_per_token, hardware.flash_bytes_per_second));
  if (timings.decode_tokens_per_second && decode > 0) {
    bounds.decode_bound_tokens_per_second = 1 / decode;
    bounds.decode_share = *timings.decode_tokens_per_second * decode;
  }
  const auto tokens = static_cast<double>(prompt_tokens);
  const double macs = static_cast<double>(hardware.prefill_macs) * tokens +
                      static_cast<double>(hardware.output_macs);
  const double prefill = std::max(
      Seconds(macs, hardware.int8_macs_per_second),
      Seconds(timings.prefill_flash_bytes, hardware.flash_bytes_per_second));
  if (timings.prefill_tokens_per_second && prefill > 0) {
    bounds.prefill_bound_tokens_per_second = tokens / prefill;
    bounds.prefill_share =
        *timings.prefill_tokens_per_second * prefill / tokens;
  }
  return bounds;
}

HardwareReport Between(const HardwareReport& before,
                       const HardwareReport& after) {
  HardwareReport between = after;
  for (const auto rate : {&HardwareReport::dram_bytes_per_second,
                          &HardwareReport::int8_macs_per_second,
                          &HardwareReport::flash_bytes_per_second}) {
    between.*rate = (before.*rate + after.*rate) / 2;
  }
  return between;
}

}  // namespace sluice::tools
