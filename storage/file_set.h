// FileSet: the files that a read device reads, opened and measured.
//
// Owns the descriptors (RAII) and knows how each file is read: with O_DIRECT
// where the file system accepts it, else through the page cache, which is then
// kept small (no readahead beyond a request, and each piece is dropped once it
// has landed). Also the one place where errno becomes an Error.
//
// Sizes are those of the moment of opening; it does not notice later changes,
// the reads do.
//
// Thread safety: const methods may be called by any number of threads.
#ifndef SLUICE_STORAGE_FILE_SET_H_
#define SLUICE_STORAGE_FILE_SET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "storage/result.h"

namespace sluice::storage {

// Move-only owner of a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

class FileSet {
 public:
  struct File {
    std::string path;
    FileDescriptor fd;
    std::uint64_t size = 0;  // bytes, when opened
    bool direct = false;     // read with O_DIRECT
  };

  // Opens regular files for reading; `want_direct` asks for O_DIRECT.
  // Returns: kNotFound, kPermission, kInvalidArgument (not a regular file),
  // kNoMemory, kIo.
  static Result<FileSet> Open(const std::vector<std::string>& paths,
                              bool want_direct);

  std::size_t size() const { return files_.size(); }
  const File& operator[](std::size_t index) const { return files_[index]; }
  bool all_direct() const;
  std::vector<std::string> paths() const;
  std::vector<std::uint64_t> sizes() const;

  // Tells the kernel that [offset, offset + length) of a buffered file will not
  // be needed from the page cache again. Nothing for a direct file.
  void DropCache(std::size_t index, std::uint64_t offset,
                 std::size_t length) const;

 private:
  std::vector<File> files_;
};

// The error of a failed system call on `path`; `what` says what was tried, e.g.
// "cannot open" or "read failed at offset 4096".
Error ErrnoError(const std::string& path, const std::string& what, int error);
// The error of a file that ends before the size it had when opened.
Error TruncatedError(const FileSet::File& file, std::uint64_t offset);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_FILE_SET_H_
