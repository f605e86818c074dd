#include "storage/read_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "storage/aligned_buffer.h"
#include "storage/device_backends.h"

namespace sluice::storage {
namespace {

constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 30;  // of one read(2)
constexpr unsigned kMaxDepth = 4096;
constexpr unsigned kMaxThreads = 256;
constexpr std::size_t kBounceBytes = std::size_t{1} << 20;

bool IsAligned(std::uint64_t value) { return value % kIoAlignment == 0; }

Result<void> CheckCount(std::string_view what, unsigned value, unsigned most) {
  if (value >= 1 && value <= most) return {};
  return Fail(
      ErrorCode::kInvalidArgument,
      fmt::format("read device: {} is {}; choose 1 to {}", what, value, most));
}

// Reads one request of ReadExactly.
Result<void> ReadOne(ReadDevice& device, const ReadRequest& request) {
  SLUICE_TRY(device.Submit({&request, 1}));
  std::vector<ReadCompletion> done;
  while (done.empty()) {
    SLUICE_ASSIGN(const std::size_t count, device.Wait(done));
    if (count == 0) break;
  }
  if (done.empty()) return Fail(ErrorCode::kInternal, "a read was lost");
  if (done[0].error) return tl::unexpected(*std::move(done[0].error));
  return {};
}

}  // namespace

Result<void> DeviceOptions::Validate() const {
  if (piece_bytes == 0 || !IsAligned(piece_bytes) ||
      piece_bytes > kMaxPieceBytes) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("read device: piece size is {}; choose a multiple "
                            "of {} up to {}",
                            piece_bytes, kIoAlignment, kMaxPieceBytes));
  }
  if (!IsAligned(max_bytes_per_read)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("read device: the limit of a read is {}; choose a "
                            "multiple of {}",
                            max_bytes_per_read, kIoAlignment));
  }
  SLUICE_TRY(CheckCount("depth", depth, kMaxDepth));
  return CheckCount("the number of threads", pread_threads, kMaxThreads);
}

Result<void> ReadDevice::Check(const ReadRequest& request) const {
  if (request.file >= paths_.size()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("read device: no file {}; {} are open",
                            request.file, paths_.size()));
  }
  const std::string& path = paths_[request.file];
  // NOLINTNEXTLINE(performance-no-int-to-ptr): only the address is looked at.
  const auto address = reinterpret_cast<std::uintptr_t>(request.destination);
  if (address == 0 || !IsAligned(address) || !IsAligned(request.offset) ||
      !IsAligned(request.length) || request.length == 0) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: a read of {} bytes at offset {} is not "
                    "aligned to {} bytes",
                    path, request.length, request.offset, kIoAlignment));
  }
  const std::uint64_t size = file_sizes_[request.file];
  const std::uint64_t end = AlignUp(size);
  if (request.offset >= end || request.length > end - request.offset) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: a read of {} bytes at offset {} is past the "
                            "end; the file has {} bytes",
                            path, request.length, request.offset, size));
  }
  return {};
}

Result<void> ReadDevice::Submit(std::span<const ReadRequest> requests) {
  for (const ReadRequest& request : requests) SLUICE_TRY(Check(request));
  if (requests.empty()) return {};
  SLUICE_TRY(SubmitImpl(requests));
  in_flight_ += requests.size();
  stats_.requests += requests.size();
  return {};
}

Result<std::size_t> ReadDevice::Reap(bool block,
                                     std::vector<ReadCompletion>& out) {
  if (in_flight_ == 0) return 0;
  const std::size_t before = out.size();
  SLUICE_TRY(ReapImpl(block, out));
  const std::size_t count = out.size() - before;
  assert(count <= in_flight_);
  in_flight_ -= count;
  for (std::size_t i = before; i < out.size(); ++i) {
    stats_.bytes += out[i].bytes;
    if (!out[i].error) continue;
    const bool cancelled = out[i].error->code == ErrorCode::kCancelled;
    ++(cancelled ? stats_.cancelled : stats_.errors);
  }
  return count;
}

Result<std::size_t> ReadDevice::Poll(std::vector<ReadCompletion>& out) {
  return Reap(/*block=*/false, out);
}

Result<std::size_t> ReadDevice::Wait(std::vector<ReadCompletion>& out) {
  return Reap(/*block=*/true, out);
}

void ReadDevice::Cancel(std::uint64_t tag) { CancelImpl(tag); }

void ReadDevice::Promote(std::uint64_t tag) { PromoteImpl(tag); }

Result<std::unique_ptr<ReadDevice>> OpenReadDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options) {
  SLUICE_TRY(options.Validate());
  if (paths.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "read device: no file to open");
  }
  switch (options.kind) {
    case DeviceKind::kMemory:
      return OpenMemoryDevice(paths, options);
    case DeviceKind::kPread:
      return OpenPreadDevice(paths, options);
    case DeviceKind::kUring:
      return OpenUringDevice(paths, options);
    case DeviceKind::kAuto:
      break;
  }
  auto device = OpenUringDevice(paths, options);
  if (device || device.error().code != ErrorCode::kUnsupported) return device;
  return OpenPreadDevice(paths, options);
}

Result<void> ReadExactly(ReadDevice& device, std::uint32_t file,
                         std::uint64_t offset, std::span<std::byte> out) {
  if (device.in_flight() != 0) {
    return Fail(ErrorCode::kInternal, "ReadExactly: requests are in flight");
  }
  if (file >= device.paths().size()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("read device: no file {}; {} are open", file,
                            device.paths().size()));
  }
  const std::uint64_t size = device.file_sizes()[file];
  if (offset > size || out.size() > size - offset) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} bytes at offset {} are past the end; the "
                            "file has {} bytes",
                            device.paths()[file], out.size(), offset, size));
  }
  if (out.empty()) return {};
  const std::uint64_t begin = AlignDown(offset);
  const std::uint64_t end = AlignUp(offset + out.size());
  SLUICE_ASSIGN(AlignedBuffer bounce,
                AlignedBuffer::Allocate(
                    std::min<std::uint64_t>(end - begin, kBounceBytes)));
  for (std::uint64_t at = begin; at < end; at += bounce.size()) {
    const std::size_t length = std::min<std::uint64_t>(bounce.size(), end - at);
    SLUICE_TRY(ReadOne(device, {.file = file,
                                .offset = at,
                                .length = length,
                                .destination = bounce.data()}));
    const std::uint64_t from = std::max(at, offset);
    const std::uint64_t to = std::min(at + length, offset + out.size());
    std::memcpy(out.data() + (from - offset), bounce.data() + (from - at),
                to - from);
  }
  return {};
}

}  // namespace sluice::storage
