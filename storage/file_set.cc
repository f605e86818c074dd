#include "storage/file_set.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "storage/aligned_buffer.h"

namespace sluice::storage {
namespace {

ErrorCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
      return ErrorCode::kPermission;
    case ENOMEM:
      return ErrorCode::kNoMemory;
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return ErrorCode::kInvalidArgument;
    default:
      return ErrorCode::kIo;
  }
}

std::string_view CureOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return "; check the path";
    case EACCES:
    case EPERM:
      return "; make the file readable for this user";
    case EMFILE:
      return "; raise the limit on open files (ulimit -n)";
    default:
      return "";
  }
}

// Only regular files have a size and can be read at an offset; a pipe or a
// terminal would block for ever.
Result<std::uint64_t> RegularFileSize(const std::string& path, int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) {
    return tl::unexpected(ErrnoError(path, "cannot stat", errno));
  }
  if (S_ISREG(status.st_mode)) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  return Fail(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: is {}, not a regular file; name a model file", path,
                  S_ISDIR(status.st_mode) ? "a directory" : "a special file"));
}

// Some file systems refuse O_DIRECT when it is set, others accept it and refuse
// the first read, so one block is read to find out.
bool EnableDirect(int fd, std::uint64_t size) {
  if (fcntl(fd, F_SETFL, O_DIRECT) != 0) return false;
  if (size == 0) return true;
  auto block = AlignedBuffer::Allocate(kIoAlignment);
  if (!block) return false;
  return pread(fd, block->data(), block->size(), 0) >= 0 || errno != EINVAL;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

Result<FileSet> FileSet::Open(const std::vector<std::string>& paths,
                              bool want_direct) {
  FileSet set;
  set.files_.reserve(paths.size());
  for (const std::string& path : paths) {
    // O_NONBLOCK, so that opening a pipe without a writer does not hang.
    FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.get() < 0) {
      return tl::unexpected(ErrnoError(path, "cannot open", errno));
    }
    SLUICE_ASSIGN(const std::uint64_t size, RegularFileSize(path, fd.get()));
    const bool direct = want_direct && EnableDirect(fd.get(), size);
    if (!direct) {
      fcntl(fd.get(), F_SETFL, 0);  // neither O_NONBLOCK nor O_DIRECT
      posix_fadvise(fd.get(), 0, 0, POSIX_FADV_RANDOM);
    }
    set.files_.push_back({path, std::move(fd), size, direct});
  }
  return set;
}

bool FileSet::all_direct() const {
  return std::all_of(files_.begin(), files_.end(),
                     [](const File& file) { return file.direct; });
}

std::vector<std::string> FileSet::paths() const {
  std::vector<std::string> paths;
  paths.reserve(files_.size());
  for (const File& file : files_) paths.push_back(file.path);
  return paths;
}

std::vector<std::uint64_t> FileSet::sizes() const {
  std::vector<std::uint64_t> sizes;
  sizes.reserve(files_.size());
  for (const File& file : files_) sizes.push_back(file.size);
  return sizes;
}

void FileSet::DropCache(std::size_t index, std::uint64_t offset,
                        std::size_t length) const {
  const File& file = files_[index];
  if (file.direct) return;
  posix_fadvise(file.fd.get(), static_cast<off_t>(offset),
                static_cast<off_t>(length), POSIX_FADV_DONTNEED);
}

Error ErrnoError(const std::string& path, const std::string& what, int error) {
  return {CodeOf(error),
          fmt::format("{}: {}: {}{}", path, what,
                      std::generic_category().message(error), CureOf(error))};
}

Error TruncatedError(const FileSet::File& file, std::uint64_t offset) {
  struct stat status = {};
  fstat(file.fd.get(), &status);
  return {
      ErrorCode::kIo,
      fmt::format("{}: truncated at offset {}: the file had {} bytes when "
                  "it was opened and has {} now; restore it and start again",
                  file.path, offset, file.size, status.st_size)};
}

}  // namespace sluice::storage
