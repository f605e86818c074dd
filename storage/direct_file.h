// DirectFile: blocking aligned reads of one file, past the page cache where the
// file system allows; for the few pages that are read outside a ReadDevice.
//
// Thread safety: const methods may be called by any number of threads.
#ifndef SLUICE_STORAGE_DIRECT_FILE_H_
#define SLUICE_STORAGE_DIRECT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "storage/file_set.h"
#include "storage/result.h"

namespace sluice::storage {

class DirectFile {
 public:
  // Returns: as FileSet::Open.
  static Result<DirectFile> Open(const std::string& path);

  std::uint64_t size() const { return files_[0].size; }  // bytes, when opened
  // Fills `out` from `offset`, both aligned to kIoAlignment; what lies past
  // the end of the file is left as it was.
  // Returns: kIo.
  Result<void> Read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  explicit DirectFile(FileSet files) : files_(std::move(files)) {}

  FileSet files_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_DIRECT_FILE_H_
