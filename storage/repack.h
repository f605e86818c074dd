// Repack: turns a GGUF into a container, streaming, in bounded memory.
//
// What is written is read back and checked while the writing goes on. At most
// about 160 MiB whatever the model: read pieces of 16 MiB, write buffers of
// 32 MiB, 2 MiB read back, and, where records are compressed, a part before and
// after and one unpacked again (parts above 32 MiB stay uncompressed). The
// result depends on the GGUF, the options and (with kAuto) the decision alone:
// interrupted and resumed, it is the same file.
//
// Thread safety: several repacks may run at once, on different outputs.
#ifndef SLUICE_STORAGE_REPACK_H_
#define SLUICE_STORAGE_REPACK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "storage/compression_choice.h"
#include "storage/container_plan.h"
#include "storage/plane_record.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

enum class CompressRecords {
  kAuto,  // measured; what an interrupted repack decided stays decided
  kAlways,
  kNever,
};

enum class RepackPhase { kMeasure, kWrite, kVerify };

struct RepackProgress {
  RepackPhase phase = RepackPhase::kWrite;
  std::uint64_t done = 0;  // bytes: of weights written, or of the file verified
  std::uint64_t total = 0;
};

struct RepackOptions {
  std::string input;   // a GGUF, single or the first of a split set
  std::string output;  // its folder must exist
  CompressRecords compress = CompressRecords::kAuto;
  bool force = false;  // replace an output that exists
  bool verify = true;  // read it back and check it before the rename
  RowInterleaver interleaver = {};
  // Experts become nested weights, fitted by this; empty: they keep theirs.
  // Planes are not compressed, whatever `compress` says.
  PlaneFitter fit_planes = {};
  // Of what `fit_planes` depends on beside its arguments: an interrupted repack
  // goes on only under the same number.
  std::uint64_t fit_stamp = 0;
  // Called often, on the calling thread; false stops the repack, which can be
  // resumed. May be empty.
  std::function<bool(const RepackProgress&)> progress = {};
  DeviceOptions device = {};  // for the reads
  // Tests only: opens the file being written to read it back, in place of
  // OpenReadDevice; called after what is to be read was synced, on a thread of
  // the repack's own.
  std::function<Result<std::unique_ptr<ReadDevice>>(const std::string& path)>
      open_written = {};
  std::uint64_t checkpoint_bytes = 64 << 20;
};

struct RepackReport {
  std::uint64_t input_bytes = 0;  // of all files of the GGUF
  std::uint64_t output_bytes = 0;
  std::uint64_t records = 0;
  std::uint64_t dense_tensors = 0;
  std::uint64_t rows8_bytes = 0;  // of weights that were interleaved
  std::uint64_t weight_bytes = 0;
  std::uint64_t resumed_units = 0;  // found written by an earlier repack
  bool compressed = false;
  CompressionChoice choice;   // measured only with kAuto, and not on resuming
  double write_seconds = 0;   // this time, with what was verified meanwhile
  double verify_seconds = 0;  // after the writing
  std::uint64_t verified_bytes =
      0;  // read back; with `verify`, of all the file
};

// Writes to `output + ".partial"` and renames it when it is complete. After an
// error or a cancellation only that file remains, and only if it holds
// something to resume from.
// Returns: kInvalidArgument (the output exists; a folder or not a GGUF; another
// repack writes it), kNotFound, kPermission, kIo (also too little space),
// kCorrupt, kUnsupported, kNoMemory, kCancelled.
Result<RepackReport> Repack(const RepackOptions& options);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_REPACK_H_
