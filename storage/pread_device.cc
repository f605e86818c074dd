// The pread backend: a pool of threads, each with one blocking read at a time.
// For kernels and containers that refuse io_uring.
//
// The threads take pieces from the queue that the io_uring backend uses too, so
// order, cancellation and errors are the same.
#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <utility>

#include "storage/device_backends.h"
#include "storage/file_set.h"
#include "storage/piece_queue.h"

namespace sluice::storage {
namespace {

// A reader thread needs little, and its stack counts against the budget.
constexpr std::size_t kStackBytes = std::size_t{128} << 10;

class PreadDevice final : public ReadDevice {
 public:
  PreadDevice(FileSet files, const DeviceOptions& options)
      : ReadDevice(files.paths(), files.sizes()),
        files_(std::move(files)),
        queue_(files_, options) {}

  ~PreadDevice() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_all();
    for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  }

  // Returns: kNoMemory.
  Result<void> StartThreads(unsigned count);

 private:
  Result<void> SubmitImpl(std::span<const ReadRequest> requests) override;
  Result<void> ReapImpl(bool block, std::vector<ReadCompletion>& out) override;
  void CancelImpl(std::uint64_t tag) override {
    const std::lock_guard lock(mutex_);
    queue_.Cancel(tag);
  }
  void PromoteImpl(std::uint64_t tag) override {
    const std::lock_guard lock(mutex_);
    queue_.Promote(tag);
  }
  std::string_view NameImpl() const override { return "pread"; }
  bool DirectImpl() const override { return files_.all_direct(); }

  static void* ThreadMain(void* device) {
    static_cast<PreadDevice*>(device)->ReadPieces();
    return nullptr;
  }
  void ReadPieces();
  // Reads until the piece is over; unlocked during each read. False when the
  // device is being closed.
  bool ReadPiece(std::unique_lock<std::mutex>& lock, Piece& piece);

  // Constant after construction.
  const FileSet files_;
  std::vector<pthread_t> threads_;

  std::mutex mutex_;
  std::condition_variable work_;  // a piece to start, or stopping_
  std::condition_variable done_;  // a completion
  // Guarded by mutex_.
  PieceQueue queue_;
  std::uint64_t reads_ = 0;
  bool stopping_ = false;
};

Result<void> PreadDevice::StartThreads(unsigned count) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  const long least = sysconf(_SC_THREAD_STACK_MIN);
  pthread_attr_setstacksize(
      &attributes,
      std::max(kStackBytes, static_cast<std::size_t>(std::max(least, 0L))));
  // Signals are for the threads of the program.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  while (error == 0 && threads_.size() < count) {
    pthread_t thread = {};
    error = pthread_create(&thread, &attributes, ThreadMain, this);
    if (error == 0) threads_.push_back(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0 || !threads_.empty()) return {};  // fewer threads will do
  return Fail(ErrorCode::kNoMemory,
              "pread device: cannot start a thread; raise the limit on threads "
              "(ulimit -u) or on memory");
}

void PreadDevice::ReadPieces() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stopping_ || queue_.has_next(); });
    if (stopping_) return;
    Piece piece = queue_.Next();
    if (!ReadPiece(lock, piece)) return;
    if (!queue_.completed().empty()) done_.notify_one();
  }
}

bool PreadDevice::ReadPiece(std::unique_lock<std::mutex>& lock, Piece& piece) {
  const int fd = files_[piece.file].fd.get();
  std::int64_t result = 0;
  do {
    if (stopping_) return false;
    const PieceRead read = queue_.NextRead(piece);
    ++reads_;
    lock.unlock();
    result = pread(fd, read.destination, read.length,
                   static_cast<off_t>(read.offset));
    if (result < 0) result = -errno;
    files_.DropCache(piece.file, read.offset, read.length);
    lock.lock();
  } while (!queue_.Advance(piece, result));
  return true;
}

Result<void> PreadDevice::SubmitImpl(std::span<const ReadRequest> requests) {
  {
    const std::lock_guard lock(mutex_);
    queue_.Add(requests);
  }
  work_.notify_all();
  return {};
}

Result<void> PreadDevice::ReapImpl(bool block,
                                   std::vector<ReadCompletion>& out) {
  std::unique_lock lock(mutex_);
  std::vector<ReadCompletion>& completed = queue_.completed();
  if (block) done_.wait(lock, [&] { return !completed.empty(); });
  stats_.reads = reads_;
  out.insert(out.end(), std::make_move_iterator(completed.begin()),
             std::make_move_iterator(completed.end()));
  completed.clear();
  return {};
}

}  // namespace

Result<std::unique_ptr<ReadDevice>> OpenPreadDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options) {
  SLUICE_ASSIGN(FileSet files, FileSet::Open(paths, options.direct));
  auto device = std::make_unique<PreadDevice>(std::move(files), options);
  SLUICE_TRY(
      device->StartThreads(std::min(options.pread_threads, options.depth)));
  return device;
}

}  // namespace sluice::storage
