// WriteStream: a file written from one place on in large aligned direct writes,
// by a thread of its own, while the next bytes are being made.
//
// Bytes are made in place: Claim gives room within the next write, so nothing
// is copied but the last partial page of a write. Jobs (checkpoints) run on the
// same thread, in order with the writes before and after them.
//
// Memory: kBuffers buffers of kBufferBytes, each touched only when used.
//
// Thread safety: thread-compatible; a job runs concurrently with the caller.
#ifndef SLUICE_STORAGE_WRITE_STREAM_H_
#define SLUICE_STORAGE_WRITE_STREAM_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/result.h"

namespace sluice::storage {

class WriteStream {
 public:
  static constexpr std::size_t kBuffers = 4;
  static constexpr std::size_t kBufferBytes = 8 << 20;
  // A buffer is written when it holds this much, while the processor's cache
  // still does.
  static constexpr std::size_t kWriteBytes = 2 << 20;
  static constexpr std::size_t kMostClaim = kBufferBytes - 2 * kIoAlignment;

  // Writes `fd` (which the caller keeps open for longer) from byte `position`
  // on. `head`: what the page of `position` holds before it. `direct`: whether
  // `fd` was opened with O_DIRECT; where not, written pages are dropped from
  // the page cache as they reach the device.
  // Returns: kNoMemory.
  static Result<std::unique_ptr<WriteStream>> Open(
      std::string path, int fd, bool direct, std::uint64_t position,
      std::span<const std::byte> head);
  // Waits for the write under way; what was not flushed is lost.
  ~WriteStream();
  WriteStream(const WriteStream&) = delete;
  WriteStream& operator=(const WriteStream&) = delete;

  std::uint64_t position() const { return position_; }
  // The next `bytes` (at most kMostClaim) of the file, for the caller to fill
  // before the next call.
  // Returns: the error of an earlier write or job.
  Result<std::span<std::byte>> Claim(std::size_t bytes);
  // Zeros up to the next multiple of `alignment` (at most a page).
  Result<void> PadTo(std::size_t alignment);
  // Hands all bytes so far to the writer (the last page padded with zeros that
  // later bytes overwrite), and then `job`.
  Result<void> FlushThen(std::function<Result<void>()> job);
  // Flushes, and waits until everything is written and every job is done.
  Result<void> Drain();

 private:
  struct Work {
    std::size_t buffer = 0;  // kBuffers: a job
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
    std::function<Result<void>()> job;
  };

  WriteStream(std::string path, int fd, bool direct);

  // Hands over the buffer's first `bytes` bytes and goes on in another one.
  Result<void> NextBuffer(std::size_t bytes);
  Result<void> Write(const Work& work);
  void Run();

  const std::string path_;
  const int fd_;
  const bool direct_;
  std::vector<AlignedBuffer> buffers_;
  std::size_t current_ = 0;     // buffer being filled
  std::uint64_t base_ = 0;      // its first byte in the file, page-aligned
  std::uint64_t position_ = 0;  // next byte to claim

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;         // guarded by mutex_
  std::vector<std::size_t> free_;  // guarded by mutex_
  bool busy_ = false;              // guarded by mutex_
  bool stop_ = false;              // guarded by mutex_
  std::optional<Error> error_;     // guarded by mutex_; the first
  std::thread writer_;
};

// Error of a failed write to `path`, naming the cure for a full disk.
Error WriteError(const std::string& path, std::uint64_t offset, int error);
// Writes all of `bytes` at `offset`. Returns: kIo, kPermission.
Result<void> WriteFully(const std::string& path, int fd,
                        std::span<const std::byte> bytes, std::uint64_t offset);

// Whether all of `out` was read from `offset`.
bool ReadFully(int fd, std::uint64_t offset, std::span<std::byte> out);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_WRITE_STREAM_H_
