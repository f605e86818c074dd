// The io_uring backend: up to `depth` pieces with the kernel, the rest queued.
//
// Requests of one Submit enter the kernel with one system call. Completions are
// taken from the shared ring; the kernel is entered for them only when it says
// that it has work to do for us.
#include <fmt/format.h>
#include <liburing.h>

#include <cerrno>
#include <chrono>
#include <iterator>
#include <optional>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "storage/device_backends.h"
#include "storage/file_set.h"
#include "storage/piece_queue.h"

namespace sluice::storage {
namespace {

// COOP_TASKRUN: a completion does not interrupt the computing threads;
// TASKRUN_FLAG: the ring says when entering the kernel is worth it. Not
// SINGLE_ISSUER or DEFER_TASKRUN: they tie the ring to the thread that made it,
// and a device may move between threads.
constexpr unsigned kPreferredFlags =
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;

Result<void> Refused(int error) {
  return Fail(
      ErrorCode::kUnsupported,
      fmt::format("io_uring is not available: {}; allow it (sysctl "
                  "kernel.io_uring_disabled, container seccomp profile, ulimit "
                  "-l) or choose the pread device",
                  std::generic_category().message(error)));
}

// Owner of the kernel's ring.
class Ring {
 public:
  // Returns: kUnsupported.
  static Result<std::unique_ptr<Ring>> Create(unsigned depth,
                                              const FileSet& files) {
    auto ring = std::make_unique<Ring>();
    SLUICE_TRY(ring->Setup(depth));
    ring->RegisterFiles(files);
    return ring;
  }

  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    if (live_) io_uring_queue_exit(&ring_);
  }

  io_uring* get() { return &ring_; }
  bool files_registered() const { return files_registered_; }

 private:
  Result<void> Setup(unsigned depth) {
    int error = io_uring_queue_init(depth, &ring_, kPreferredFlags);
    if (error == -EINVAL) error = io_uring_queue_init(depth, &ring_, 0);
    if (error < 0) return Refused(-error);
    live_ = true;
    io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
    const bool reads =
        probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    return reads ? Result<void>() : Refused(ENOSYS);
  }

  // Saves the kernel a look-up per read; works without where it is refused.
  void RegisterFiles(const FileSet& files) {
    std::vector<int> fds;
    fds.reserve(files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
      fds.push_back(files[i].fd.get());
    }
    files_registered_ =
        io_uring_register_files(&ring_, fds.data(),
                                static_cast<unsigned>(fds.size())) == 0;
  }

  io_uring ring_ = {};
  bool live_ = false;
  bool files_registered_ = false;
};

class UringDevice final : public ReadDevice {
 public:
  UringDevice(FileSet files, const DeviceOptions& options,
              std::unique_ptr<Ring> ring)
      : ReadDevice(files.paths(), files.sizes()),
        files_(std::move(files)),
        queue_(files_, options),
        pieces_(options.depth),
        ring_(std::move(ring)) {
    for (std::uint32_t i = options.depth; i > 0; --i) free_.push_back(i - 1);
  }

  ~UringDevice() override {
    while (WithKernel() != 0) {
      io_uring_cqe* cqe = nullptr;
      if (io_uring_wait_cqe(ring_->get(), &cqe) != 0) continue;
      free_.push_back(IndexOf(*cqe));
      io_uring_cqe_seen(ring_->get(), cqe);
    }
  }

 private:
  Result<void> SubmitImpl(std::span<const ReadRequest> requests) override;
  Result<void> ReapImpl(bool block, std::vector<ReadCompletion>& out) override;
  void CancelImpl(std::uint64_t tag) override { queue_.Cancel(tag); }
  void PromoteImpl(std::uint64_t tag) override { queue_.Promote(tag); }
  std::string_view NameImpl() const override { return "io_uring"; }
  bool DirectImpl() const override { return files_.all_direct(); }

  static std::uint32_t IndexOf(const io_uring_cqe& cqe) {
    return static_cast<std::uint32_t>(cqe.user_data);
  }
  // Reads that the kernel holds: prepared ones that it has not taken are ours.
  std::size_t WithKernel() {
    return pieces_.size() - free_.size() - io_uring_sq_ready(ring_->get());
  }

  // Prepares the next read of pieces_[index].
  void Prepare(std::uint32_t index);
  // Prepares queued pieces up to the depth.
  void Fill();
  // Hands all prepared reads to the kernel, and waits for a completion when
  // `wait`, in one system call.
  Result<void> Enter(bool wait);
  // Waits for the reads that the kernel holds, asking it nothing.
  void AwaitKernel();
  // Takes what has completed from the ring; continues short reads.
  void TakeCompleted();

  const FileSet files_;
  PieceQueue queue_;
  std::vector<Piece> pieces_;        // by a read's user_data
  std::vector<std::uint32_t> free_;  // unused places in pieces_
  const std::unique_ptr<Ring> ring_;
  std::optional<Error> broken_;  // for good: nothing is read any more
};

void UringDevice::Prepare(std::uint32_t index) {
  const Piece& piece = pieces_[index];
  const PieceRead read = queue_.NextRead(piece);
  // Never null: the ring has an entry for each of pieces_.
  io_uring_sqe* sqe = io_uring_get_sqe(ring_->get());
  const bool registered = ring_->files_registered();
  const int fd =
      registered ? static_cast<int>(piece.file) : files_[piece.file].fd.get();
  io_uring_prep_read(sqe, fd, read.destination,
                     static_cast<unsigned>(read.length), read.offset);
  if (registered) io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
  io_uring_sqe_set_data64(sqe, index);
  ++stats_.reads;
}

void UringDevice::Fill() {
  while (!free_.empty() && queue_.has_next()) {
    const std::uint32_t index = free_.back();
    free_.pop_back();
    pieces_[index] = queue_.Next();
    Prepare(index);
  }
}

Result<void> UringDevice::Enter(bool wait) {
  const int result = wait ? io_uring_submit_and_wait(ring_->get(), 1)
                          : io_uring_submit(ring_->get());
  switch (result < 0 ? -result : 0) {
    case 0:
    case EINTR:
      return {};
    case EAGAIN:
    case EBUSY:
      break;
    default:
      // Whoever learns of it may use the destinations again.
      AwaitKernel();
      broken_ = Error{ErrorCode::kIo,
                      fmt::format("io_uring: cannot submit: {}",
                                  std::generic_category().message(-result))};
      return tl::unexpected<Error>(*broken_);
  }
  // The kernel is short of memory for requests. The prepared reads stay in the
  // ring for the next attempt; a completion may make room for them.
  if (!wait) return {};
  if (WithKernel() != 0) {
    io_uring_cqe* cqe = nullptr;
    io_uring_wait_cqe(ring_->get(), &cqe);
  } else {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

void UringDevice::AwaitKernel() {
  for (TakeCompleted(); WithKernel() != 0; TakeCompleted()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void UringDevice::TakeCompleted() {
  constexpr unsigned kBatch = 32;
  io_uring_cqe* batch[kBatch];
  unsigned count = 0;
  do {
    count = io_uring_peek_batch_cqe(ring_->get(), batch, kBatch);
    for (unsigned i = 0; i < count; ++i) {
      const std::uint32_t index = IndexOf(*batch[i]);
      Piece& piece = pieces_[index];
      if (!queue_.Advance(piece, batch[i]->res)) {
        Prepare(index);
        continue;
      }
      files_.DropCache(piece.file, piece.offset, piece.length);
      free_.push_back(index);
    }
    io_uring_cq_advance(ring_->get(), count);
  } while (count == kBatch);
}

Result<void> UringDevice::SubmitImpl(std::span<const ReadRequest> requests) {
  if (broken_) return tl::unexpected<Error>(*broken_);
  queue_.Add(requests);
  Fill();
  if (io_uring_sq_ready(ring_->get()) == 0) return {};
  // The requests are queued whatever the kernel says now; what is wrong with
  // the ring is wrong at the next Poll or Wait too, and is reported there.
  std::ignore = Enter(/*wait=*/false);
  return {};
}

Result<void> UringDevice::ReapImpl(bool block,
                                   std::vector<ReadCompletion>& out) {
  if (broken_) return tl::unexpected<Error>(*broken_);
  std::vector<ReadCompletion>& completed = queue_.completed();
  TakeCompleted();
  Fill();
  while (block && completed.empty()) {
    SLUICE_TRY(Enter(/*wait=*/true));
    TakeCompleted();
    Fill();
  }
  if (io_uring_sq_ready(ring_->get()) != 0) SLUICE_TRY(Enter(/*wait=*/false));
  out.insert(out.end(), std::make_move_iterator(completed.begin()),
             std::make_move_iterator(completed.end()));
  completed.clear();
  return {};
}

}  // namespace

Result<std::unique_ptr<ReadDevice>> OpenUringDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options) {
  SLUICE_ASSIGN(FileSet files, FileSet::Open(paths, options.direct));
  SLUICE_ASSIGN(std::unique_ptr<Ring> ring, Ring::Create(options.depth, files));
  return std::make_unique<UringDevice>(std::move(files), options,
                                       std::move(ring));
}

}  // namespace sluice::storage
