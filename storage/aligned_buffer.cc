#include "storage/aligned_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

namespace sluice::storage {

Result<AlignedBuffer> AlignedBuffer::Allocate(std::size_t bytes,
                                              Options options) {
  AlignedBuffer buffer;
  if (bytes == 0) return buffer;
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) {
    return Fail(ErrorCode::kNoMemory,
                fmt::format("cannot allocate {} bytes", bytes));
  }
  const std::size_t size = AlignUp(bytes);
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return Fail(ErrorCode::kNoMemory,
                fmt::format("cannot allocate {} bytes", bytes));
  }
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.size_ = size;
  // Advice and locking are best effort: the buffer is correct without them.
  if (options.huge_pages) madvise(data, size, MADV_HUGEPAGE);
  if (options.lock) mlock2(data, size, MLOCK_ONFAULT);
  return buffer;
}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  AlignedBuffer old(std::move(*this));
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

void AlignedBuffer::Discard(std::size_t offset, std::size_t bytes) {
  assert(offset <= size_ && bytes <= size_ - offset);
  // Larger than kIoAlignment on some boards: what shares a page stays.
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t begin = AlignUp(offset, page);
  const std::size_t end = offset + bytes == size_
                              ? AlignUp(size_, page)
                              : AlignDown(offset + bytes, page);
  if (begin >= end) return;
  munlock(data_ + begin, end - begin);  // or the next call is refused
  madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

void AlignedBuffer::AdviseHugePages(bool advise) {
  madvise(data_, size_, advise ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace sluice::storage
