#include "storage/flash_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include "storage/aligned_buffer.h"
#include "storage/file_set.h"
#include "storage/header_file.h"
#include "storage/write_stream.h"

namespace sluice::storage {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostRequest = 4 << 20;
constexpr std::size_t kMostInFlight = 64 << 20;
constexpr unsigned kMostDepth = 64;
constexpr std::uint64_t kLeastScratch = 1 << 20;
constexpr std::uint64_t kSpareBytes = 64 << 20;  // left free beside the scratch
constexpr double kMostSecondsPerPoint = 60;
constexpr double kGoodShare = 0.95;
constexpr std::uint64_t kSeed = 0x5eed;

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result<void> Validate(const FlashProbeOptions& options) {
  const auto good_size = [](std::size_t bytes) {
    return bytes > 0 && bytes <= kMostRequest && bytes % kIoAlignment == 0;
  };
  const auto good_depth = [](unsigned depth) {
    return depth > 0 && depth <= kMostDepth;
  };
  if (options.request_bytes.empty() || options.depths.empty() ||
      !std::ranges::all_of(options.request_bytes, good_size) ||
      !std::ranges::all_of(options.depths, good_depth)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("flash probe: give sizes that are multiples of {} "
                            "up to {}, and depths from 1 to {}",
                            kIoAlignment, kMostRequest, kMostDepth));
  }
  if (!(options.seconds_per_point > 0 &&
        options.seconds_per_point <= kMostSecondsPerPoint)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("flash probe: give more than 0 and at most {} "
                            "seconds per point",
                            kMostSecondsPerPoint));
  }
  if (options.scratch_bytes < kLeastScratch ||
      options.scratch_bytes % kIoAlignment != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("flash probe: give a scratch file of {} bytes or "
                            "more, a multiple of {}",
                            kLeastScratch, kIoAlignment));
  }
  return {};
}

Result<void> CheckSpace(const std::string& folder, std::uint64_t bytes) {
  struct statvfs space = {};
  if (statvfs(folder.c_str(), &space) != 0) return {};  // the writes will tell
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (free >= bytes + kSpareBytes) return {};
  return Fail(ErrorCode::kIo,
              fmt::format("{}: a probe needs {} MB and {} MB are free; free "
                          "some space, or probe a file that exists",
                          OneLine(folder), (bytes + kSpareBytes) / 1000000 + 1,
                          free / 1000000));
}

// A file without a name, of bytes that no device can compress.
Result<FileDescriptor> MakeScratch(const std::string& folder,
                                   std::uint64_t bytes) {
  SLUICE_TRY(CheckSpace(folder, bytes));
  std::string path = folder + "/.sluice-probe-XXXXXX";
  FileDescriptor file(mkostemp(path.data(), O_CLOEXEC));
  if (file.get() < 0) {
    const int error = errno;
    Error failure = ErrnoError(folder, "cannot make a scratch file", error);
    if (error == EACCES || error == EROFS) {
      failure.message = fmt::format(
          "{}: cannot make a scratch file: {}; name a folder that can be "
          "written, or a file that exists",
          OneLine(folder), std::strerror(error));
    }
    return tl::unexpected(std::move(failure));
  }
  unlink(path.c_str());
  SLUICE_ASSIGN(AlignedBuffer buffer,
                AlignedBuffer::Allocate(kMostRequest, {.huge_pages = true}));
  std::mt19937_64 random(kSeed);
  for (std::uint64_t at = 0; at < bytes;) {
    const auto run = buffer.span().first(static_cast<std::size_t>(
        std::min<std::uint64_t>(buffer.size(), bytes - at)));
    for (std::size_t i = 0; i + 8 <= run.size(); i += 8) {
      const std::uint64_t word = random();
      std::memcpy(run.data() + i, &word, sizeof(word));
    }
    SLUICE_TRY(WriteFully(path, file.get(), run, at));
    at += run.size();
  }
  if (fdatasync(file.get()) != 0) {
    return tl::unexpected(ErrnoError(folder, "cannot write", errno));
  }
  posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  return file;
}

// Reads at random places, `depth` requests at a time, each with a part of the
// buffer of its own.
class PointProbe {
 public:
  PointProbe(ReadDevice& device, AlignedBuffer& buffer, std::mt19937_64& random,
             std::size_t request_bytes, unsigned depth)
      : device_(device),
        buffer_(buffer),
        random_(random),
        bytes_(request_bytes),
        depth_(depth),
        started_(depth) {}

  Result<FlashPoint> Run(double seconds) {
    const auto start = Clock::now();
    for (unsigned slot = 0; slot < depth_; ++slot) SLUICE_TRY(Start(slot));
    std::vector<ReadCompletion> done;
    while (device_.in_flight() > 0) {
      done.clear();
      SLUICE_TRY(device_.Wait(done));
      const bool more = Since(start) < seconds;
      for (const ReadCompletion& completion : done) {
        if (completion.error) return tl::unexpected(*completion.error);
        latencies_.push_back(Since(started_[completion.tag]));
        if (more) SLUICE_TRY(Start(completion.tag));
      }
    }
    return Summary(std::max(Since(start), 1e-9));
  }

 private:
  Result<void> Start(std::uint64_t slot) {
    const std::uint64_t places =
        (device_.file_sizes()[0] - bytes_) / kIoAlignment + 1;
    const ReadRequest request = {
        .offset = random_() % places * kIoAlignment,
        .length = bytes_,
        .destination = buffer_.data() + slot * bytes_,
        .tag = slot,
    };
    started_[slot] = Clock::now();
    return device_.Submit({&request, 1});
  }

  FlashPoint Summary(double seconds) {
    std::ranges::sort(latencies_);
    const std::size_t count = latencies_.size();
    return {.request_bytes = bytes_,
            .depth = depth_,
            .requests = count,
            .bytes_per_second = static_cast<double>(count) *
                                static_cast<double>(bytes_) / seconds,
            .median_latency = latencies_[count / 2],
            .p99_latency = latencies_[count * 99 / 100]};
  }

  ReadDevice& device_;
  AlignedBuffer& buffer_;
  std::mt19937_64& random_;
  const std::size_t bytes_;
  const unsigned depth_;
  std::vector<Clock::time_point> started_;  // by slot
  std::vector<double> latencies_;
};

struct Shape {
  std::size_t request_bytes;
  unsigned depth;
};

// Those that fit the file and the memory.
std::vector<Shape> ShapesFor(const FlashProbeOptions& options,
                             std::uint64_t file_bytes) {
  std::vector<Shape> shapes;
  for (const std::size_t bytes : options.request_bytes) {
    for (const unsigned depth : options.depths) {
      if (bytes <= file_bytes && bytes * depth <= kMostInFlight) {
        shapes.push_back({bytes, depth});
      }
    }
  }
  return shapes;
}

// Opens what is read: `scratch` where it has a descriptor, else the path.
Result<std::unique_ptr<ReadDevice>> OpenTarget(const FlashProbeOptions& options,
                                               const FileDescriptor& scratch) {
  DeviceOptions device;
  device.kind = options.device;
  device.piece_bytes = kMostRequest;
  device.depth = kMostDepth;
  const std::string path = scratch.get() < 0
                               ? options.path
                               : fmt::format("/proc/self/fd/{}", scratch.get());
  return OpenReadDevice({path}, device);
}

Result<void> MeasurePoints(const FlashProbeOptions& options,
                           const std::vector<Shape>& shapes, ReadDevice& device,
                           AlignedBuffer& buffer,
                           std::vector<FlashPoint>& points) {
  std::mt19937_64 random(kSeed);
  for (const auto& [bytes, depth] : shapes) {
    PointProbe probe(device, buffer, random, bytes, depth);
    SLUICE_ASSIGN(const FlashPoint point, probe.Run(options.seconds_per_point));
    points.push_back(point);
    if (options.progress && !options.progress(points.size(), shapes.size())) {
      return Fail(ErrorCode::kCancelled,
                  fmt::format("{}: probe stopped", OneLine(options.path)));
    }
  }
  return {};
}

}  // namespace

Result<FlashProbeReport> ProbeFlash(const FlashProbeOptions& options) {
  SLUICE_TRY(Validate(options));
  FlashProbeReport report;
  struct stat status = {};
  report.scratch =
      stat(options.path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  FileDescriptor scratch;
  if (report.scratch) {
    SLUICE_ASSIGN(scratch, MakeScratch(options.path, options.scratch_bytes));
  }
  // Before the device: its reads are over when it goes, and only then may the
  // memory go.
  AlignedBuffer buffer;
  SLUICE_ASSIGN(const auto device, OpenTarget(options, scratch));
  report.file_bytes = device->file_sizes()[0];
  report.device = device->name();
  report.direct = device->direct();
  const std::vector<Shape> shapes = ShapesFor(options, report.file_bytes);
  if (shapes.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: too small to be measured; name a larger file "
                            "or a folder",
                            OneLine(options.path)));
  }
  std::size_t most = 0;
  for (const auto& [bytes, depth] : shapes) {
    most = std::max(most, bytes * depth);
  }
  SLUICE_ASSIGN(buffer, AlignedBuffer::Allocate(most, {.huge_pages = true}));
  SLUICE_TRY(MeasurePoints(options, shapes, *device, buffer, report.points));
  return report;
}

std::optional<FlashChoice> ChooseShape(std::span<const FlashPoint> points) {
  double best = 0;
  for (const FlashPoint& point : points) {
    best = std::max(best, point.bytes_per_second);
  }
  const FlashPoint* chosen = nullptr;
  const auto cost = [](const FlashPoint& point) {
    return std::pair(point.request_bytes * point.depth, point.depth);
  };
  for (const FlashPoint& point : points) {
    if (point.bytes_per_second < kGoodShare * best) continue;
    if (chosen == nullptr || cost(point) < cost(*chosen)) chosen = &point;
  }
  if (chosen == nullptr) return std::nullopt;
  return FlashChoice{.piece_bytes = chosen->request_bytes,
                     .depth = chosen->depth,
                     .bytes_per_second = chosen->bytes_per_second,
                     .best_bytes_per_second = best};
}

}  // namespace sluice::storage
