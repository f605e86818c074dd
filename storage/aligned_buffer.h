// AlignedBuffer: move-only owner of page-aligned anonymous memory, the kind
// that O_DIRECT reads may land in and that the kernel cannot reclaim the way it
// reclaims a file mapping.
//
// Memory comes straight from mmap(2) and goes back with munmap(2), so a freed
// buffer leaves the resident set at once. Pages are zero until written.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_ALIGNED_BUFFER_H_
#define SLUICE_STORAGE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <span>
#include <utility>

#include "storage/result.h"

namespace sluice::storage {

// Every read destination, offset and length is a multiple of this. 4 KiB is the
// logical block size of every flash device in use and the page size of x86-64;
// 512-byte devices accept it too.
inline constexpr std::size_t kIoAlignment = 4096;

constexpr std::size_t AlignUp(std::size_t value,
                              std::size_t alignment = kIoAlignment) {
  return (value + alignment - 1) / alignment * alignment;
}
constexpr std::size_t AlignDown(std::size_t value,
                                std::size_t alignment = kIoAlignment) {
  return value / alignment * alignment;
}

class AlignedBuffer {
 public:
  struct Options {
    // Advise transparent huge pages, for 2 MiB and more: direct reads and
    // writes of megabytes are up to twice as fast with them (bench/LEARNED.md).
    bool huge_pages = false;
    bool lock = false;  // mlock where RLIMIT_MEMLOCK allows; else ignored
  };

  AlignedBuffer() = default;
  // `bytes` is rounded up to kIoAlignment; zero gives an empty buffer.
  // Returns: kNoMemory.
  static Result<AlignedBuffer> Allocate(std::size_t bytes, Options options);
  static Result<AlignedBuffer> Allocate(std::size_t bytes) {
    return Allocate(bytes, Options{});
  }

  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer();

  // Gives the pages within [offset, offset + bytes) back to the system: they
  // leave the resident set at once, are no longer locked, and are zero until
  // written again. REQUIRES: offset + bytes <= size(); nothing reads into them.
  void Discard(std::size_t offset, std::size_t bytes);

  // As Options::huge_pages, from now on; pages that are there stay.
  void AdviseHugePages(bool advise);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> span() { return {data_, size_}; }
  std::span<const std::byte> span() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_ALIGNED_BUFFER_H_
