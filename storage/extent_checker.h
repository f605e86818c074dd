// ExtentChecker: takes the bytes of a container in the order of the file and
// holds them against what they must be: every checksum, zeros in between, and
// that every compressed part can be unpacked.
//
// Memory: with compressed parts, once the largest of them, unpacked.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_EXTENT_CHECKER_H_
#define SLUICE_STORAGE_EXTENT_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/container_format.h"
#include "storage/container_index.h"
#include "storage/result.h"
#include "storage/xxh3.h"
#include "storage/zstd_codec.h"

namespace sluice::storage {

// A run of bytes with a checksum.
struct Extent {
  enum class Kind { kHeader, kSection, kDense, kPart, kFooter };
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  Kind kind = Kind::kSection;
  std::size_t number = 0;       // of the section, dense tensor or part
  std::uint64_t raw_bytes = 0;  // of what it unpacks to; 0: not compressed
};

// The sections metadata, tokenizer and index.
std::vector<Extent> SectionExtents(const ContainerHeader& header);
// The units [first, last): dense tensors and then records.
std::vector<Extent> UnitExtents(const ContainerIndex& index,
                                std::uint64_t first, std::uint64_t last);

class ExtentChecker {
 public:
  // Starts at byte `at`. `path` and `index` name what is damaged; of `index`
  // only its names and counts are used. It must outlive this.
  ExtentChecker(std::string path, const ContainerIndex& index, std::uint64_t at)
      : path_(std::move(path)), index_(index), at_(at) {}

  // Extents that follow those expected so far.
  void Expect(std::span<const Extent> extents) {
    expected_.insert(expected_.end(), extents.begin(), extents.end());
  }
  // Whether every extent expected has been taken.
  bool done() const { return expected_.empty(); }
  // The next byte to take.
  std::uint64_t at() const { return at_; }
  // Goes on at byte `at`. REQUIRES: done().
  void Seek(std::uint64_t at) { at_ = at; }
  // The next bytes of the file. What is in no extent must be zero, so expect
  // all extents that begin in `bytes` first.
  // Returns: kCorrupt, naming what is damaged; kNoMemory.
  Result<void> Take(std::span<const std::byte> bytes);

 private:
  bool InExtent() const {
    return !expected_.empty() && at_ >= expected_.front().offset;
  }
  bool ExtentIsEmpty() const {
    return InExtent() && expected_.front().bytes == 0;
  }
  // Bytes up to where an extent begins or ends.
  std::size_t NextRun(std::size_t most) const;
  Result<void> TakeExtent(std::span<const std::byte> bytes);
  Result<void> TakeZeros(std::span<const std::byte> bytes) const;
  Result<void> CloseExtent();
  // Where the frame of a compressed extent is gathered: so far behind where it
  // is unpacked to that the two may overlap.
  Result<std::span<std::byte>> Frame(const Extent& extent);
  Result<void> Unpack(const Extent& extent);
  std::string NameOf(const Extent& extent) const;
  tl::unexpected<Error> Corrupt(const std::string& what) const;

  const std::string path_;
  const ContainerIndex& index_;
  std::deque<Extent> expected_;
  std::uint64_t at_;
  Xxh3 hash_;
  std::optional<ZstdDecompressor> zstd_;
  AlignedBuffer room_;  // for a frame and what it unpacks to
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_EXTENT_CHECKER_H_
