// CompressionChoice: whether a container's records are faster to read
// compressed, measured on a sample of them.
//
// Thread safety: a value and a pure function but for the reads.
#ifndef SLUICE_STORAGE_COMPRESSION_CHOICE_H_
#define SLUICE_STORAGE_COMPRESSION_CHOICE_H_

#include <cstdint>
#include <optional>

#include "storage/container_plan.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

struct CompressionChoice {
  bool measured = false;
  bool compressed = false;
  std::uint64_t sample_bytes = 0;     // of weights
  double ratio = 1;                   // compressed bytes / weight bytes
  double flash_bytes_per_second = 0;  // reading directly
  bool other_device = false;          // measured where the container will be
  double decompress_bytes_per_second = 0;  // of weights, on one thread
  // Seconds per GB of weights, as read and used.
  double stored_seconds = 0;
  double compressed_seconds = 0;
};

// A sample of fewer bytes of weights decides nothing: its times are mostly
// those of single requests and calls.
inline constexpr std::uint64_t kLeastSampleBytes = 4 << 20;

// Fills the last two fields of `choice` and `compressed` from the others.
//
// The experts that a layer lacks come a few at a time: while one is unpacked,
// on one thread, the next is read, so the slower of the two takes all of its
// time. Of the faster one, what nothing hides is left: the first read or the
// last unpacking. With two at a time, the fewest at which anything is hidden,
// that is half of it. Compression must win by 5 % to be chosen, more than the
// measurement scatters, and a sample below kLeastSampleBytes never lets it.
void Decide(CompressionChoice& choice);

// Compresses and unpacks a sample of the parts of `plan`, spread over the
// model, with at most 64 MiB of memory. `flash_bytes_per_second`: of the device
// that the container will be on, where that is not the GGUF's; without, the
// reads of the sample tell.
// Returns: as the device's reads; kNoMemory.
Result<CompressionChoice> MeasureCompression(
    const ContainerPlan& plan, const RowInterleaver& interleaver,
    ReadDevice& device, std::optional<double> flash_bytes_per_second = {});

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_COMPRESSION_CHOICE_H_
