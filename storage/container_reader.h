// ContainerReader: the front of a `.sluice` file (header, metadata, tokenizer,
// index) and its footer, read and fully checked.
//
// A container is untrusted input: nothing is used before its checksum and every
// rule of storage/FORMAT.md have been checked, and nothing is allocated that
// the size of the file or a fixed limit does not bound. Weights are never read
// here: dense tensors are for the loader, records for ExpertStore.
//
// Thread safety: immutable after Open.
#ifndef SLUICE_STORAGE_CONTAINER_READER_H_
#define SLUICE_STORAGE_CONTAINER_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "storage/container_format.h"
#include "storage/container_index.h"
#include "storage/gguf.h"
#include "storage/result.h"

namespace sluice::storage {

class ContainerReader {
 public:
  // True when the file begins as a container does; false for anything else,
  // also for what cannot be read.
  static bool IsContainer(const std::string& path);

  // Returns: kNotFound, kPermission, kIo, kNoMemory, kInvalidArgument (not a
  // regular file), kCorrupt, kUnsupported (version or type of a newer build;
  // a container that is still being written).
  static Result<ContainerReader> Open(const std::string& path);
  // As Open, for a whole file held in memory; for tests and fuzzing.
  static Result<ContainerReader> Parse(std::span<const std::byte> file,
                                       const std::string& path);

  const std::string& path() const { return path_; }
  const ContainerHeader& header() const { return header_; }
  const ContainerIndex& index() const { return *index_; }
  std::shared_ptr<const ContainerIndex> shared_index() const { return index_; }

  // The keys of the model's GGUF, and the dense tensors with their places in
  // the container, their layouts and their checksums; not the experts'. The
  // only path is the container's.
  const GgufFile& gguf() const { return gguf_; }
  GgufFile TakeGguf() && { return std::move(gguf_); }

  std::uint32_t layers() const { return index_->header.layers; }
  std::uint32_t experts() const { return index_->header.experts; }

 private:
  ContainerReader(std::string path, const ContainerHeader& header,
                  std::shared_ptr<const ContainerIndex> index, GgufFile gguf)
      : path_(std::move(path)),
        header_(header),
        index_(std::move(index)),
        gguf_(std::move(gguf)) {}

  // `front`: the file up to the end of the index; `footer`: its last page.
  static Result<ContainerReader> Build(const ContainerHeader& header,
                                       std::span<const std::byte> front,
                                       std::span<const std::byte> footer,
                                       const std::string& path);

  std::string path_;
  ContainerHeader header_;
  std::shared_ptr<const ContainerIndex> index_;
  GgufFile gguf_;
};

// Checks the first page of a file of `file_bytes` bytes: everything that can be
// said without the rest. `complete`: whether one that is still being written is
// refused.
// Returns: kCorrupt, kUnsupported.
Result<ContainerHeader> ParseContainerHeader(std::span<const std::byte> page,
                                             std::uint64_t file_bytes,
                                             bool complete,
                                             const std::string& path);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_CONTAINER_READER_H_
