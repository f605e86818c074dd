// HeaderFile: the first bytes of a file that is much larger than they are.
//
// Reads go straight to the device (O_DIRECT) where the file system allows it;
// where it does not, what they left in the page cache is dropped again. Nothing
// is ever mapped. Only regular files are accepted: a FIFO or a device could
// block for ever or lie about its size.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_HEADER_FILE_H_
#define SLUICE_STORAGE_HEADER_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "storage/aligned_buffer.h"
#include "storage/result.h"

namespace sluice::storage {

// `text` with control characters as \xNN, for messages of one line.
std::string OneLine(std::string_view text);

class HeaderFile {
 public:
  // Returns: kNotFound, kPermission, kInvalidArgument (not a regular file),
  // kIo.
  static Result<HeaderFile> Open(const std::string& path);

  HeaderFile(HeaderFile&& other) noexcept;
  HeaderFile& operator=(HeaderFile&&) = delete;
  HeaderFile(const HeaderFile&) = delete;
  HeaderFile& operator=(const HeaderFile&) = delete;
  ~HeaderFile();

  // Size of the whole file when it was opened.
  std::uint64_t file_bytes() const { return file_bytes_; }

  // The first `bytes` bytes of the file, or all of it when it is shorter. Valid
  // until the next call.
  // Returns: kIo (also when the file became shorter), kNoMemory.
  Result<std::span<const std::byte>> Read(std::uint64_t bytes);

 private:
  HeaderFile(std::string path, int descriptor, std::uint64_t file_bytes,
             bool direct);
  Result<void> Reserve(std::size_t bytes);
  Result<void> FillTo(std::size_t bytes);

  std::string path_;
  int descriptor_;
  std::uint64_t file_bytes_;
  bool direct_;
  AlignedBuffer buffer_;
  std::size_t filled_ = 0;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_HEADER_FILE_H_
