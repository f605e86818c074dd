// Flash probe: what the device under a file gives for reads of each size and
// number in flight, and which of them the engine should use.
//
// Reads aligned pieces at random places of a file that exists, or of a scratch
// file that it makes in a folder. A scratch file loses its name at once, so
// that nothing is left behind however the process ends. Read with O_DIRECT
// where the file system has it; where it has not, the figures may be those of
// the page cache, and the report says so.
//
// Thread safety: may be called from several threads; probes of the same device
// at the same time measure each other.
#ifndef SLUICE_STORAGE_FLASH_PROBE_H_
#define SLUICE_STORAGE_FLASH_PROBE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

struct FlashProbeOptions {
  std::string path;  // a regular file, or a folder for a scratch file
  // Bytes of a request: multiples of kIoAlignment up to 4 MiB.
  std::vector<std::size_t> request_bytes = {4 << 10,   16 << 10, 64 << 10,
                                            256 << 10, 1 << 20,  4 << 20};
  std::vector<unsigned> depths = {1, 4, 16, 64};  // requests in flight
  // Of each point; what is in flight then is waited for.
  double seconds_per_point = 0.1;
  std::uint64_t scratch_bytes = 256 << 20;
  // Called after every point; false stops. May be empty.
  std::function<bool(std::size_t done, std::size_t total)> progress = {};
  DeviceKind device = DeviceKind::kAuto;
};

struct FlashPoint {
  std::size_t request_bytes = 0;
  unsigned depth = 0;
  std::uint64_t requests = 0;  // measured
  double bytes_per_second = 0;
  // From submission to completion, in seconds.
  double median_latency = 0;
  double p99_latency = 0;
};

struct FlashProbeReport {
  bool scratch = false;  // a scratch file was read
  std::uint64_t file_bytes = 0;
  std::string device;   // "io_uring", ...
  bool direct = false;  // past the page cache
  // Sizes in the options' order, and depths within them. Without those that
  // the file is too small for, or that would need more than 64 MiB of memory.
  std::vector<FlashPoint> points;
};

// At most 64 MiB of memory.
// Returns: kNotFound, kPermission, kInvalidArgument (options; a file of less
// than 4 KiB; neither a file nor a folder), kIo (also too little space for the
// scratch file), kNoMemory, kUnsupported, kCancelled.
Result<FlashProbeReport> ProbeFlash(const FlashProbeOptions& options);

// How to read: pieces of this size, this many in flight.
struct FlashChoice {
  std::size_t piece_bytes = 0;
  unsigned depth = 0;
  double bytes_per_second = 0;       // measured with them
  double best_bytes_per_second = 0;  // of any point
};

// Of the points that reach 95 % of the best bandwidth, the one with the fewest
// bytes in flight, and among equals the fewest requests: a demanded expert
// waits behind what is in flight. None without points.
std::optional<FlashChoice> ChooseShape(std::span<const FlashPoint> points);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_FLASH_PROBE_H_
