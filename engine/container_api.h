// Containers (.sluice): making one from a GGUF, checking one, and measuring the
// flash that it is read from.
//
// Part of the library's public interface, beside engine/sluice.h, for programs
// that prepare models; running one needs engine/sluice.h alone, which opens
// either kind of file. storage/FORMAT.md specifies the file.
//
//   sluice::RepackModelOptions options;
//   options.input = "model.gguf";
//   options.output = "model.sluice";
//   auto report = sluice::RepackModel(options);
//   if (!report) { /* report.error().message */ }
//
// Thread safety: free functions, may be called from any thread, and at the same
// time for different outputs. Callbacks run on the calling thread.
#ifndef SLUICE_ENGINE_CONTAINER_API_H_
#define SLUICE_ENGINE_CONTAINER_API_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/result.h"

namespace sluice {

enum class CompressExperts {
  kAuto,  // whichever was measured to be read faster
  kAlways,
  kNever,
};

// kCalibrate counts tokens, the others bytes.
enum class RepackModelPhase { kCalibrate, kMeasure, kWrite, kVerify };

struct RepackModelProgress {
  RepackModelPhase phase = RepackModelPhase::kWrite;
  // Tokens, or bytes: of weights written, or of the file verified.
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

struct RepackModelOptions {
  std::string input;   // a GGUF, single or the first of a split set
  std::string output;  // its folder must exist
  CompressExperts compress = CompressExperts::kAuto;
  // Experts become nested weights (kernels/planes.h) that are fitted to the
  // GGUF's: a base plane and a residual plane, not compressed. Lossy.
  bool planes = false;
  // With planes: a text that the model is run over first, to fit those weights
  // best that its activations use most. Empty: all weights count alike.
  std::string calibration_text;
  bool force = false;  // replace an output that exists
  bool verify = true;  // read it back and check it before it gets its name
  // Called often; false stops the repack. The same call again goes on from
  // there. May be empty.
  std::function<bool(const RepackModelProgress&)> progress = {};
};

// Whether records are compressed, and the figures that this rests on.
struct CompressionDecision {
  bool compressed = false;
  // Whether it was measured this time: not when the options decide, or a repack
  // that was interrupted has decided. If not, the figures below mean nothing.
  bool measured = false;
  std::uint64_t sample_bytes = 0;          // of weights
  double ratio = 1;                        // compressed bytes / weight bytes
  double flash_bytes_per_second = 0;       // of direct reads of the sample
  double decompress_bytes_per_second = 0;  // of weights, on one thread
  // Seconds until 10^9 bytes of weights are read and ready for use.
  double stored_seconds = 0;
  double compressed_seconds = 0;
};

struct RepackModelReport {
  std::uint64_t input_bytes = 0;  // of all files of the GGUF
  std::uint64_t output_bytes = 0;
  std::uint64_t weight_bytes = 0;       // of weights, before compression
  std::uint64_t interleaved_bytes = 0;  // of these, rearranged for the kernels
  std::uint64_t records = 0;            // one per expert and layer
  std::uint64_t dense_tensors = 0;
  bool resumed = false;  // went on from an interrupted repack
  CompressionDecision compression;
  // This time, with what was verified while writing.
  double write_seconds = 0;
  double verify_seconds = 0;         // after the writing; 0 without
  std::uint64_t verified_bytes = 0;  // read back; with `verify` all of the file
};

// Writes `output + ".partial"` and renames it when complete. After an error or
// a stop only that file remains, and only if it holds something to go on from.
// Lossless but for `planes`: quantised weights keep their bits. At most 256 MiB
// of memory, but calibrating takes as much as running the model, and 8 bytes
// for each column of each expert to the end.
// Returns: kInvalidArgument (the output exists, is the input or is a
// folder; no GGUF; another repack writes it), kNotFound, kPermission, kIo (also
// too little space), kCorrupt, kUnsupported (a model without experts; planes of
// matrices that are not whole blocks of them), kNoMemory, kCancelled.
Result<RepackModelReport> RepackModel(const RepackModelOptions& options);

struct VerifyModelReport {
  std::uint64_t file_bytes = 0;
  std::uint64_t dense_tensors = 0;
  std::uint64_t records = 0;
  std::uint64_t parts = 0;  // checksummed pieces of records
  bool compressed = false;
};

// Reads every byte of a container and checks it; unpacks compressed experts.
// `progress(bytes done, bytes in all)`, which may be empty, stops it by
// returning false. At most 40 MiB of memory, and that of one part of an expert
// where they are compressed.
// Returns: kNotFound, kPermission, kInvalidArgument (no container), kIo,
// kNoMemory, kUnsupported, kCancelled; kCorrupt naming the first section,
// tensor or record that is damaged and where it lies.
Result<VerifyModelReport> VerifyModel(
    const std::string& path,
    const std::function<bool(std::uint64_t, std::uint64_t)>& progress = {});

struct ProbeOptions {
  std::string path;    // a file that exists, or a folder for a scratch file
  bool quick = false;  // fewer points, shorter, and a smaller scratch file
  // Called after every point; false stops. May be empty.
  std::function<bool(std::size_t done, std::size_t total)> progress = {};
};

struct ProbePoint {
  std::size_t request_bytes = 0;
  unsigned depth = 0;  // requests in flight
  double bytes_per_second = 0;
  double median_latency = 0;  // seconds from submission to completion
  double p99_latency = 0;
};

struct ProbeReport {
  bool scratch = false;  // read a scratch file, which is gone again
  std::uint64_t file_bytes = 0;
  std::string device;   // "io_uring", ...
  bool direct = false;  // else the figures may be those of the page cache
  // By size, then by depth. Without sizes beyond the file's, and without those
  // of more than 64 MiB in flight.
  std::vector<ProbePoint> points;
  // The fewest bytes in flight that reach 95 % of the best bandwidth.
  ProbePoint choice;
};

// What the device under `path` gives for random reads of 4 KiB to 4 MiB, 1 to
// 64 at a time: about 3 seconds, and a scratch file of 256 MiB that has no name
// and so is gone however the process ends. At most 64 MiB of memory.
// Returns: kNotFound, kPermission, kInvalidArgument (neither a file nor a
// folder; less than 4 KiB), kIo (also too little space), kNoMemory, kCancelled.
Result<ProbeReport> ProbeFlash(const ProbeOptions& options);

}  // namespace sluice

#endif  // SLUICE_ENGINE_CONTAINER_API_H_
