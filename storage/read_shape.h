// ReadShape: the piece size and depth with which a device reads experts best,
// measured as experts are read: a few long requests at random places, all at
// once, and nothing more before they are complete.
//
// That is not what the flash probe measures (its requests are single pieces,
// replaced as they complete), and the best of the one can be a poor choice for
// the other: bench/LEARNED.md has figures.
//
// Thread safety: may be called from several threads; those that measure the
// same device at the same time measure each other.
#ifndef SLUICE_STORAGE_READ_SHAPE_H_
#define SLUICE_STORAGE_READ_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/flash_probe.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

struct ReadShapeOptions {
  std::string path;
  // Of one request, such as the bytes of an expert; taken as at most 4 MiB and
  // rounded up to whole pages.
  std::size_t request_bytes = 0;
  // Of memory; a request at least.
  std::uint64_t most_bytes = 0;
  // Nothing is begun after this; the first shape is measured in any case.
  double most_seconds = 0.4;
  DeviceKind device = DeviceKind::kAuto;
};

// Measures pieces of 256 KiB to 2 MiB at depths of 4 to 32, in three rounds of
// which the best counts. The shape of DeviceOptions stays unless another one is
// 5 % faster: on most devices many are equally good, and then which of them is
// the best of a short measurement is luck.
// Returns: as OpenReadDevice and its reads; kInvalidArgument (a file of less
// than a request, too little memory).
Result<FlashChoice> ChooseReadShape(const ReadShapeOptions& options);

// How fast requests are read when reading goes on and on, and how long one
// takes beside its bytes. A device may read the first megabytes faster than it
// can go on reading, one with a limit on its rate always does: what is read in
// the first third of the time is not counted.
struct ReadRates {
  double bytes_per_second = 0;
  double latency_seconds = 0;
  // Whether what was not read in a pause is read at once after it, as a limit
  // on the rate that counts bytes lets it be.
  bool saves_up = false;
};

// Takes twice `options.most_seconds` and what is in flight then, a quarter of
// them for the latency, and at most a second for `saves_up`.
// Returns: as ChooseReadShape.
Result<ReadRates> MeasureReadRates(const ReadShapeOptions& options,
                                   std::size_t piece_bytes, unsigned depth);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_READ_SHAPE_H_
