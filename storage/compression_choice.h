// CompressionChoice: whether a container's records are faster to read
// compressed, measured on a sample of them.
//
// Thread safety: a value and a pure function but for the reads.
#ifndef SLUICE_STORAGE_COMPRESSION_CHOICE_H_
#define SLUICE_STORAGE_COMPRESSION_CHOICE_H_

#include <cstdint>

#include "storage/container_plan.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

struct CompressionChoice {
  bool measured = false;
  bool compressed = false;
  std::uint64_t sample_bytes = 0;          // of weights
  double ratio = 1;                        // compressed bytes / weight bytes
  double flash_bytes_per_second = 0;       // reading the sample directly
  double decompress_bytes_per_second = 0;  // of weights, on one thread
  // Seconds per GB of weights, as read and used.
  double stored_seconds = 0;
  double compressed_seconds = 0;
};

// Fills the last three fields of `choice` from the others: reading and
// decompressing are taken one after the other, since the expert that is waited
// for is the last to arrive. Compression must win by 3 % to be chosen, more
// than the measurement scatters.
void Decide(CompressionChoice& choice);

// Reads a sample of the parts of `plan`, spread over the model, with at most
// 64 MiB of memory.
// Returns: as the device's reads; kNoMemory.
Result<CompressionChoice> MeasureCompression(const ContainerPlan& plan,
                                             const RowInterleaver& interleaver,
                                             ReadDevice& device);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_COMPRESSION_CHOICE_H_
