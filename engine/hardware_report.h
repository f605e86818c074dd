// HardwareReport: what the machine allows.
//
// Part of the library's public interface, beside engine/sluice.h.
//
// Thread safety: values.
#ifndef SLUICE_ENGINE_HARDWARE_REPORT_H_
#define SLUICE_ENGINE_HARDWARE_REPORT_H_

#include <cstdint>

namespace sluice {

// Of all threads together, measured briefly.
struct BriefSpeeds {
  double dram_bytes_per_second = 0;  // 0 when no weights are in memory
  double int8_macs_per_second = 0;
};

// What the machine allows, measured with the engine's own threads, buffers and
// reads, and what a token asks of it. Bounds follow (section 10 of the design):
//   resident decode   decode_bytes / dram_bytes_per_second
//   streaming decode  the larger of that and missed bytes / flash rate
//   prefill           the larger of multiplies / int8 rate and bytes / flash
struct HardwareReport {
  double dram_bytes_per_second = 0;   // reading weights that are in memory
  double int8_macs_per_second = 0;    // multiply-accumulates in registers
  double flash_bytes_per_second = 0;  // whole experts; 0 when nothing streams
  // Of memory and of flash while both are read, which share a host's processors
  // or a board's memory; 0 when nothing streams.
  double dram_beside_flash_bytes_per_second = 0;
  double flash_beside_dram_bytes_per_second = 0;
  std::uint64_t decode_bytes = 0;  // of weights that one token touches
  std::uint64_t prefill_macs = 0;  // per prompt token, all layers
  // Once per prompt: the logits of its last token, and what of the last layer
  // is computed of that token alone.
  std::uint64_t output_macs = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_HARDWARE_REPORT_H_
