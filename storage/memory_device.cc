// The memory backend: every file is read whole when it is opened; a request is
// a copy. For tests, and as the fastest device there can be.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "storage/aligned_buffer.h"
#include "storage/device_backends.h"
#include "storage/file_set.h"
#include "storage/piece_queue.h"

namespace sluice::storage {
namespace {

class MemoryDevice final : public ReadDevice {
 public:
  MemoryDevice(const FileSet& files, std::vector<AlignedBuffer> contents)
      : ReadDevice(files.paths(), files.sizes()),
        contents_(std::move(contents)) {}

 private:
  Result<void> SubmitImpl(std::span<const ReadRequest> requests) override {
    for (const ReadRequest& request : requests) {
      std::memcpy(request.destination,
                  contents_[request.file].data() + request.offset,
                  request.length);
      ++stats_.reads;
      completed_.push_back({.tag = request.tag, .bytes = request.length});
    }
    return {};
  }

  Result<void> ReapImpl(bool /*block*/,
                        std::vector<ReadCompletion>& out) override {
    out.insert(out.end(), std::make_move_iterator(completed_.begin()),
               std::make_move_iterator(completed_.end()));
    completed_.clear();
    return {};
  }

  void CancelImpl(std::uint64_t /*tag*/) override {}
  void PromoteImpl(std::uint64_t /*tag*/) override {}
  std::string_view NameImpl() const override { return "memory"; }
  bool DirectImpl() const override { return false; }

  const std::vector<AlignedBuffer> contents_;  // one per file, padded
  std::vector<ReadCompletion> completed_;
};

// Reads file `index` whole, with the bookkeeping of the other backends.
Result<AlignedBuffer> ReadWhole(const FileSet& files, std::uint32_t index,
                                const DeviceOptions& options) {
  SLUICE_ASSIGN(AlignedBuffer buffer,
                AlignedBuffer::Allocate(files[index].size));
  if (buffer.size() == 0) return buffer;
  PieceQueue queue(files, options);
  const ReadRequest request = {
      .file = index, .length = buffer.size(), .destination = buffer.data()};
  queue.Add({&request, 1});
  while (queue.has_next()) {
    Piece piece = queue.Next();
    ssize_t result = 0;
    do {
      const PieceRead read = queue.NextRead(piece);
      result = pread(files[index].fd.get(), read.destination, read.length,
                     static_cast<off_t>(read.offset));
      if (result < 0) result = -errno;
    } while (!queue.Advance(piece, result));
    files.DropCache(index, piece.offset, piece.length);
  }
  std::optional<Error>& error = queue.completed().at(0).error;
  if (error) return tl::unexpected(*std::move(error));
  return buffer;
}

}  // namespace

Result<std::unique_ptr<ReadDevice>> OpenMemoryDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options) {
  SLUICE_ASSIGN(FileSet files, FileSet::Open(paths, options.direct));
  std::vector<AlignedBuffer> contents;
  for (std::uint32_t i = 0; i < files.size(); ++i) {
    SLUICE_ASSIGN(AlignedBuffer content, ReadWhole(files, i, options));
    contents.push_back(std::move(content));
  }
  return std::make_unique<MemoryDevice>(files, std::move(contents));
}

}  // namespace sluice::storage
