#include "storage/direct_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sluice::storage {
namespace {

// Linux reads at most 0x7ffff000 bytes in one call.
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;

}  // namespace

Result<DirectFile> DirectFile::Open(const std::string& path) {
  SLUICE_ASSIGN(FileSet files, FileSet::Open({path}, /*want_direct=*/true));
  return DirectFile(std::move(files));
}

Result<void> DirectFile::Read(std::uint64_t offset,
                              std::span<std::byte> out) const {
  const FileSet::File& file = files_[0];
  std::size_t done = 0;
  while (done < out.size() && offset + done < file.size) {
    const ssize_t got = pread(file.fd.get(), out.data() + done,
                              std::min(out.size() - done, kMostAtOnce),
                              static_cast<off_t>(offset + done));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) {
      return tl::unexpected(ErrnoError(
          file.path, fmt::format("cannot read at byte {}", offset + done),
          errno));
    }
    if (got == 0) return tl::unexpected(TruncatedError(file, offset + done));
    done += static_cast<std::size_t>(got);
  }
  files_.DropCache(0, offset, out.size());
  return {};
}

}  // namespace sluice::storage
