// ReadDevice: asynchronous aligned reads from a fixed set of files.
//
// The contract that all backends share (tests/storage/read_device_test.cc runs
// the same conformance test on each):
//
//   1. Requests complete in any order, each exactly once, with the tag they
//      were submitted with. A completion is an error or means that every byte
//      of the request that the file holds has landed.
//   2. Offset, length and destination are multiples of kIoAlignment. A request
//      may run past the end of the file by less than kIoAlignment bytes (the
//      aligned superset of the file's tail); the bytes past the end are
//      unspecified. Anything else past the end is refused by Submit.
//   3. Short reads are continued, EINTR and EAGAIN retried. EIO, and a file
//      that became shorter than it was when opened, complete with kIo and a
//      message naming the file and the offset.
//   4. Demand requests are started before prefetch requests that have not
//      started. A request longer than `Options::piece_bytes` is split; a
//      cancelled prefetch stops within one piece.
//
// The public methods check the contract and keep the statistics; a backend
// overrides the private ones.
//
// Thread safety: thread-compatible (one thread at a time, not always the same).
// Backends may use threads of their own inside.
#ifndef SLUICE_STORAGE_READ_DEVICE_H_
#define SLUICE_STORAGE_READ_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/result.h"

namespace sluice::storage {

enum class ReadClass : std::uint8_t { kDemand, kPrefetch };

struct ReadRequest {
  std::uint32_t file = 0;    // index into the paths the device was opened with
  std::uint64_t offset = 0;  // bytes from the start of that file
  std::size_t length = 0;    // bytes
  std::byte* destination = nullptr;
  ReadClass read_class = ReadClass::kDemand;
  // The caller's; returned in the completion. Requests that belong together may
  // share one: Cancel and Promote then mean all of them.
  std::uint64_t tag = 0;
};

struct ReadCompletion {
  std::uint64_t tag = 0;
  std::optional<Error> error = {};  // none: success
  std::size_t bytes = 0;            // the request's length; 0 with an error
};

// Counters since the device was opened; bytes are those asked of the files.
struct ReadStats {
  std::uint64_t requests = 0;  // submitted
  std::uint64_t reads = 0;     // pieces handed to the operating system
  std::uint64_t bytes = 0;     // of completed requests
  std::uint64_t cancelled = 0;
  std::uint64_t errors = 0;
};

enum class DeviceKind { kAuto, kUring, kPread, kMemory };

struct DeviceOptions {
  // kAuto: io_uring, or the pread pool where the kernel refuses io_uring.
  DeviceKind kind = DeviceKind::kAuto;
  bool direct = true;                 // O_DIRECT where the file system has it
  std::size_t piece_bytes = 1 << 20;  // multiple of kIoAlignment
  unsigned depth = 32;                // pieces in flight at most
  unsigned pread_threads = 4;
  // Tests only: asks for at most this many bytes at a time, so that every
  // longer piece meets short reads. A multiple of kIoAlignment; 0: no limit.
  std::size_t max_bytes_per_read = 0;

  // Returns: kInvalidArgument.
  Result<void> Validate() const;
};

class ReadDevice {
 public:
  // Blocks until no read is under way: destinations may be freed afterwards.
  virtual ~ReadDevice() = default;
  ReadDevice(const ReadDevice&) = delete;
  ReadDevice& operator=(const ReadDevice&) = delete;

  // Queues and starts all requests. On error none was queued.
  // Returns: kInvalidArgument (alignment, bounds, unknown file), kIo.
  Result<void> Submit(std::span<const ReadRequest> requests);
  // Appends what has completed to `out` without blocking; the number appended.
  Result<std::size_t> Poll(std::vector<ReadCompletion>& out);
  // As Poll, but blocks until at least one request completes. Zero when nothing
  // is in flight.
  Result<std::size_t> Wait(std::vector<ReadCompletion>& out);
  // Asks for a prefetch request to stop. It still completes, with kCancelled
  // or, if it was too late, normally. No effect on a demand request.
  void Cancel(std::uint64_t tag);
  // Raises a prefetch request to demand: its pieces that have not started move
  // behind the demand requests' own. No effect on what has started.
  void Promote(std::uint64_t tag);

  std::size_t in_flight() const { return in_flight_; }  // requests
  const ReadStats& stats() const { return stats_; }
  std::string_view name() const { return NameImpl(); }  // "io_uring", ...
  // True when every file is read with O_DIRECT.
  bool direct() const { return DirectImpl(); }
  std::span<const std::uint64_t> file_sizes() const { return file_sizes_; }
  std::span<const std::string> paths() const { return paths_; }

 protected:
  ReadDevice(std::vector<std::string> paths,
             std::vector<std::uint64_t> file_sizes)
      : paths_(std::move(paths)), file_sizes_(std::move(file_sizes)) {}

  ReadStats stats_;  // backends count `reads`

 private:
  virtual Result<void> SubmitImpl(std::span<const ReadRequest> requests) = 0;
  // Appends completions; at least one when `block`. REQUIRES: in_flight() > 0.
  virtual Result<void> ReapImpl(bool block,
                                std::vector<ReadCompletion>& out) = 0;
  virtual void CancelImpl(std::uint64_t tag) = 0;
  virtual void PromoteImpl(std::uint64_t tag) = 0;
  virtual std::string_view NameImpl() const = 0;
  virtual bool DirectImpl() const = 0;

  Result<void> Check(const ReadRequest& request) const;
  Result<std::size_t> Reap(bool block, std::vector<ReadCompletion>& out);

  // Constant after construction.
  const std::vector<std::string> paths_;
  const std::vector<std::uint64_t> file_sizes_;  // bytes, when opened

  std::size_t in_flight_ = 0;
};

// Opens `paths` for reading. The memory backend reads all files whole first.
// Returns: kNotFound, kPermission, kIo, kInvalidArgument, kNoMemory,
// kUnsupported (kUring where the kernel refuses it).
Result<std::unique_ptr<ReadDevice>> OpenReadDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options);

// Reads out.size() bytes at `offset` of one file into `out`; neither need be
// aligned: for headers and small sections. Goes through an aligned bounce
// buffer of at most 1 MiB, one request at a time. REQUIRES: device.in_flight()
// == 0, since it takes all completions. Returns: as a completion;
// kInvalidArgument past the end, kNoMemory, kInternal (requests in flight).
Result<void> ReadExactly(ReadDevice& device, std::uint32_t file,
                         std::uint64_t offset, std::span<std::byte> out);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_READ_DEVICE_H_
