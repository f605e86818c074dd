#include "storage/header_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace sluice::storage {
namespace {

tl::unexpected<Error> OpenFailure(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Fail(
          ErrorCode::kNotFound,
          fmt::format("{}: no such file; check the path", OneLine(path)));
    case EACCES:
    case EPERM:
      return Fail(ErrorCode::kPermission,
                  fmt::format("{}: may not be read by this user; change its "
                              "permissions (chmod +r)",
                              OneLine(path)));
    default:
      return Fail(ErrorCode::kIo,
                  fmt::format("{}: cannot be opened: {}", OneLine(path),
                              std::system_category().message(error)));
  }
}

tl::unexpected<Error> NotRegular(const std::string& path, mode_t mode) {
  const std::string_view kind = S_ISDIR(mode)    ? "a directory"
                                : S_ISFIFO(mode) ? "a pipe"
                                                 : "a device";
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: is {}, not a model file; name a .gguf file",
                          OneLine(path), kind));
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

Result<HeaderFile> HeaderFile::Open(const std::string& path) {
  // Non-blocking, so that opening a pipe without a writer returns.
  const int descriptor =
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return OpenFailure(path, errno);
  HeaderFile file(path, descriptor, 0, false);
  struct stat status = {};
  if (fstat(descriptor, &status) != 0) return OpenFailure(path, errno);
  if (!S_ISREG(status.st_mode)) return NotRegular(path, status.st_mode);
  file.file_bytes_ = static_cast<std::uint64_t>(status.st_size);
  file.direct_ = fcntl(descriptor, F_SETFL, O_DIRECT) == 0;
  // Without O_DIRECT, at least no readahead past what is asked for.
  if (!file.direct_) posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM);
  return file;
}

HeaderFile::HeaderFile(std::string path, int descriptor,
                       std::uint64_t file_bytes, bool direct)
    : path_(std::move(path)),
      descriptor_(descriptor),
      file_bytes_(file_bytes),
      direct_(direct) {}

HeaderFile::HeaderFile(HeaderFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      file_bytes_(other.file_bytes_),
      direct_(other.direct_),
      buffer_(std::move(other.buffer_)),
      filled_(std::exchange(other.filled_, 0)) {}

HeaderFile::~HeaderFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<std::span<const std::byte>> HeaderFile::Read(std::uint64_t bytes) {
  const auto wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(bytes, file_bytes_));
  SLUICE_TRY(Reserve(wanted));
  SLUICE_TRY(FillTo(wanted));
  return std::as_const(buffer_).span().first(wanted);
}

Result<void> HeaderFile::Reserve(std::size_t bytes) {
  if (bytes <= buffer_.size()) return {};
  SLUICE_ASSIGN(AlignedBuffer larger, AlignedBuffer::Allocate(bytes));
  if (filled_ > 0) std::memcpy(larger.data(), buffer_.data(), filled_);
  buffer_ = std::move(larger);
  return {};
}

Result<void> HeaderFile::FillTo(std::size_t bytes) {
  while (filled_ < bytes) {
    // Direct reads go on from a block boundary; the bytes before it are read
    // a second time.
    const std::size_t from = AlignDown(filled_);
    const ssize_t got = pread(descriptor_, buffer_.data() + from,
                              AlignUp(bytes) - from, static_cast<off_t>(from));
    if (got < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      if (errno == EINVAL && direct_) {
        // A device with blocks larger than ours: read through the page cache.
        direct_ = false;
        fcntl(descriptor_, F_SETFL, 0);
        continue;
      }
      return Fail(
          ErrorCode::kIo,
          fmt::format("{}: cannot be read at byte {}: {}", OneLine(path_), from,
                      std::system_category().message(errno)));
    }
    const std::size_t now = from + static_cast<std::size_t>(got);
    if (now <= filled_) {
      return Fail(ErrorCode::kIo,
                  fmt::format("{}: became shorter while it was read, at byte "
                              "{}; do not change the file while it is in use",
                              OneLine(path_), now));
    }
    filled_ = now;
  }
  if (!direct_) posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  return {};
}

}  // namespace sluice::storage
