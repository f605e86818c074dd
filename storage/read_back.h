// ReadBack: reads what a writer has put on flash back from there and checks it,
// on a thread of its own, while the writer goes on.
//
// What is announced is synced first and read with O_DIRECT where there is, so
// what is compared has left this process and the page cache, and has come back
// over the device. Like any reading back it does not prove more than that: a
// device may answer from its own cache what its flash will not keep, the more
// so as bytes are read soon after they were written; and damage after the
// reading is not seen.
//
// Memory: SequentialReader::kBufferBytes, and as ExtentChecker.
//
// Thread safety: all methods may be called by any thread.
#ifndef SLUICE_STORAGE_READ_BACK_H_
#define SLUICE_STORAGE_READ_BACK_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_index.h"
#include "storage/extent_checker.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

// Bytes [begin, end) of the file, multiples of kPageBytes, that are on the
// device, and the extents that follow those of the ranges before: at least
// those that begin in it. An extent may reach into the next range.
struct WrittenRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::vector<Extent> extents;
};

class ReadBack {
 public:
  // Opens the file anew for each stretch, since a device reads up to the size
  // that the file had when it was opened.
  using OpenFile = std::function<Result<std::unique_ptr<ReadDevice>>()>;

  // `path` and `index` as for ExtentChecker. Returns: kNoMemory.
  static Result<std::unique_ptr<ReadBack>> Start(const std::string& path,
                                                 const ContainerIndex& index,
                                                 OpenFile open);
  // Stops reading; what was not read stays unread.
  ~ReadBack();
  ReadBack(const ReadBack&) = delete;
  ReadBack& operator=(const ReadBack&) = delete;

  // Ranges are read in the order in which they are added. One that does not
  // begin where the one before ended must come after whole extents.
  void Add(WrittenRange range);

  // Returns: the first error: of opening or reading; kCorrupt naming what is
  // not as it was written; kNoMemory.
  Result<void> Check() const;
  // Bytes read and checked so far.
  std::uint64_t bytes() const;
  // Blocks until more than `bytes` bytes have been checked, or everything that
  // was added. The bytes checked.
  // Returns: as Check.
  Result<std::uint64_t> WaitBeyond(std::uint64_t bytes);
  // Whether every extent of what was added has been checked whole.
  bool complete() const;

 private:
  ReadBack(const std::string& path, const ContainerIndex& index, OpenFile open)
      : open_(std::move(open)), checker_(path, index, 0) {}

  // Adds what follows `range` without a gap to it. REQUIRES: mutex_ held.
  void Extend(WrittenRange& range);
  Result<void> Read(const WrittenRange& range);
  // Counts `bytes`; whether to go on.
  bool Count(std::uint64_t bytes);
  void Run();

  const OpenFile open_;
  ExtentChecker checker_;  // the thread's
  AlignedBuffer buffer_;   // the thread's

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<WrittenRange> queue_;  // guarded by mutex_
  std::uint64_t bytes_ = 0;         // guarded by mutex_
  bool busy_ = false;               // guarded by mutex_
  bool stop_ = false;               // guarded by mutex_
  bool whole_ = true;               // guarded by mutex_; no extent is open
  std::optional<Error> error_;      // guarded by mutex_; the first
  std::thread thread_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_READ_BACK_H_
