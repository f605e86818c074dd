#include "tools/bounds.h"

#include <algorithm>

namespace sluice::tools {
namespace {

// Seconds to move `bytes` at `rate`; none when nothing is known of the rate.
double Seconds(std::optional<double> bytes, double rate) {
  return bytes && rate > 0 ? *bytes / rate : 0;
}

}  // namespace

double SecondsAtOnce(const HardwareReport& hardware, double dram,
                     double flash) {
  const double dram_alone = hardware.dram_bytes_per_second;
  const double flash_alone = hardware.flash_bytes_per_second;
  const double dram_beside = hardware.dram_beside_flash_bytes_per_second;
  const double flash_beside = hardware.flash_beside_dram_bytes_per_second;
  const double apart = dram / dram_alone + flash / flash_alone;
  // Both as long as there is some of both, then what is left.
  const double both = std::min(dram / dram_beside, flash / flash_beside);
  const double left = (dram - dram_beside * both) / dram_alone +
                      (flash - flash_beside * both) / flash_alone;
  return std::min(apart, both + left);
}

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
  if (hardware.flash_beside_dram_bytes_per_second > 0) {
    bounds.dram_beside_flash_bytes_per_second =
        hardware.dram_beside_flash_bytes_per_second;
    bounds.flash_beside_dram_bytes_per_second =
        hardware.flash_beside_dram_bytes_per_second;
    const double at_once =
        SecondsAtOnce(hardware, static_cast<double>(hardware.decode_bytes),
                      timings.flash_bytes_per_token.value_or(0));
    if (timings.decode_tokens_per_second && at_once > 0) {
      bounds.decode_at_once_tokens_per_second = 1 / at_once;
      bounds.decode_share_at_once = *timings.decode_tokens_per_second * at_once;
    }
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
  for (const auto rate :
       {&HardwareReport::dram_bytes_per_second,
        &HardwareReport::int8_macs_per_second,
        &HardwareReport::flash_bytes_per_second,
        &HardwareReport::dram_beside_flash_bytes_per_second,
        &HardwareReport::flash_beside_dram_bytes_per_second}) {
    between.*rate = (before.*rate + after.*rate) / 2;
  }
  return between;
}

}  // namespace sluice::tools
