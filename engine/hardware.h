// Hardware: what this machine allows, measured with the engine's own threads,
// memory, reads and instruction set, for comparing speeds with their bounds.
//
// Thread safety: thread-compatible; nothing else may use the arguments.
#ifndef SLUICE_ENGINE_HARDWARE_H_
#define SLUICE_ENGINE_HARDWARE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/expert_cache.h"
#include "engine/hardware_report.h"
#include "engine/model_config.h"
#include "engine/products.h"
#include "engine/weights.h"
#include "storage/expert_store.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice {

// Bytes per second of reading `memory` with all threads, the median of several
// passes. Memory that fits in the processor's caches reads at their speed, as
// the weights in it do.
double MeasureDram(const Compute& compute,
                   std::span<const std::span<const std::byte>> memory);

// The same in some 50 ms: passes of 128 MiB, each of another part of it.
double MeasureDramBriefly(const Compute& compute,
                          std::span<const std::span<const std::byte>> memory);

// The same of the first 128 MiB in four parts, each after a wait: as a token's
// weights are read that waits for experts between them. A hypervisor may place
// an idle processor anew, where memory is slower (bench/LEARNED.md, 72).
double MeasureDramAfterWaits(
    const Compute& compute, std::span<const std::span<const std::byte>> memory);

// Bytes per second of multiplying weights in `memory` with one token, by all
// threads as a decoded token is: what memory gives and what the products take
// of it together. `memory` is taken for matrices like `shape`, an expert's, and
// holds ordinary numbers. The first 128 MiB of it; 0 where no matrix has room.
double MeasureProducts(const Compute& compute, const storage::MatrixView& shape,
                       std::span<const std::byte> memory);
// The same as MeasureDramAfterWaits.
double MeasureProductsAfterWaits(const Compute& compute,
                                 const storage::MatrixView& shape,
                                 std::span<const std::byte> memory);

// Int8 multiply-accumulates per second in registers, all threads together.
double MeasureMultiply(const Compute& compute,
                       std::span<const std::byte> operands);

// The same, in some 10 ms.
double MeasureMultiplyBriefly(const Compute& compute,
                              std::span<const std::byte> operands);

// Bytes per second of flash, and of memory at the same time.
struct FlashSpeeds {
  double alone = 0;          // of the flash while nothing else is done
  double beside_memory = 0;  // while all threads read weights
  double memory_beside = 0;  // of that
};

// By reading whole experts with many in flight, into slots that `cache` lends:
// at most an eighth of them, whose experts are evicted; the rest of the cache
// stays. Some 0.6 seconds, of slow flash three. Returns: kIo.
// REQUIRES: cache.slots() > 1.
Result<FlashSpeeds> MeasureFlash(const Compute& compute,
                                 const storage::ExpertStore& store,
                                 storage::ReadDevice& device,
                                 cache::ExpertCache& cache,
                                 std::span<const std::byte> weights);

// Fills decode_bytes, prefill_macs and output_macs.
void CountWork(const ModelConfig& config, const Weights& weights,
               const storage::ExpertStore& store, HardwareReport& report);

}  // namespace sluice

#endif  // SLUICE_ENGINE_HARDWARE_H_
