#include "storage/write_stream.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "storage/file_set.h"
#include "storage/header_file.h"

namespace sluice::storage {

Error WriteError(const std::string& path, std::uint64_t offset, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    return {ErrorCode::kIo,
            fmt::format("{}: the disk is full at byte {}; free some space and "
                        "run repack again, it goes on where it stopped",
                        OneLine(path), offset)};
  }
  return ErrnoError(OneLine(path),
                    fmt::format("cannot write at byte {}", offset), error);
}

Result<void> WriteFully(const std::string& path, int fd,
                        std::span<const std::byte> bytes,
                        std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put =
        pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      return tl::unexpected(WriteError(path, offset, put < 0 ? errno : EIO));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

bool ReadFully(int fd, std::uint64_t offset, std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(fd, out.data() + done, out.size() - done,
                              static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

WriteStream::WriteStream(std::string path, int fd, bool direct)
    : path_(std::move(path)), fd_(fd), direct_(direct) {}

Result<std::unique_ptr<WriteStream>> WriteStream::Open(
    std::string path, int fd, bool direct, std::uint64_t position,
    std::span<const std::byte> head) {
  std::unique_ptr<WriteStream> stream(
      new WriteStream(std::move(path), fd, direct));
  for (std::size_t i = 0; i < kBuffers; ++i) {
    SLUICE_ASSIGN(AlignedBuffer buffer,
                  AlignedBuffer::Allocate(kBufferBytes, {.huge_pages = true}));
    stream->buffers_.push_back(std::move(buffer));
    if (i > 0) stream->free_.push_back(i);
  }
  stream->position_ = position;
  stream->base_ = AlignDown(position);
  std::ranges::copy(head.first(position - stream->base_),
                    stream->buffers_[0].data());
  stream->writer_ = std::thread([raw = stream.get()] { raw->Run(); });
  return stream;
}

WriteStream::~WriteStream() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
    queue_.clear();
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

Result<std::span<std::byte>> WriteStream::Claim(std::size_t bytes) {
  const std::size_t used = position_ - base_;
  if (used >= kWriteBytes || used + bytes > kBufferBytes) {
    SLUICE_TRY(NextBuffer(AlignDown(used)));
  }
  const std::span room =
      buffers_[current_].span().subspan(position_ - base_, bytes);
  position_ += bytes;
  return room;
}

Result<void> WriteStream::PadTo(std::size_t alignment) {
  SLUICE_ASSIGN(const auto room,
                Claim(AlignUp(position_, alignment) - position_));
  std::ranges::fill(room, std::byte{});
  return {};
}

Result<void> WriteStream::NextBuffer(std::size_t bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !free_.empty() || error_; });
  if (error_) return tl::unexpected(*error_);
  const std::size_t next = free_.back();
  free_.pop_back();
  const std::size_t used = position_ - base_;
  const std::size_t kept = AlignDown(used);  // the last page goes on
  AlignedBuffer& now = buffers_[current_];
  std::memcpy(buffers_[next].data(), now.data() + kept, used - kept);
  if (bytes > used) std::memset(now.data() + used, 0, bytes - used);
  queue_.push_back(
      {.buffer = current_, .offset = base_, .bytes = bytes, .job = {}});
  base_ += kept;
  current_ = next;
  lock.unlock();
  changed_.notify_all();
  return {};
}

Result<void> WriteStream::FlushThen(std::function<Result<void>()> job) {
  SLUICE_TRY(NextBuffer(AlignUp(position_ - base_)));
  {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(
        {.buffer = kBuffers, .offset = 0, .bytes = 0, .job = std::move(job)});
  }
  changed_.notify_all();
  return {};
}

Result<void> WriteStream::Drain() {
  SLUICE_TRY(NextBuffer(AlignUp(position_ - base_)));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return (queue_.empty() && !busy_) || error_; });
  if (error_) return tl::unexpected(*error_);
  return {};
}

Result<void> WriteStream::Write(const Work& work) {
  if (work.buffer == kBuffers) return work.job();
  const auto bytes =
      std::as_const(buffers_[work.buffer]).span().first(work.bytes);
  SLUICE_TRY(WriteFully(path_, fd_, bytes, work.offset));
  if (direct_ || bytes.empty()) return {};
  const auto offset = static_cast<off_t>(work.offset);
  const auto length = static_cast<off_t>(work.bytes);
  sync_file_range(fd_, offset, length,
                  SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  posix_fadvise(fd_, offset, length, POSIX_FADV_DONTNEED);
  return {};
}

void WriteStream::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return !queue_.empty() || stop_; });
    if (queue_.empty()) return;
    const Work work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    // After an error nothing more is written, so that no checkpoint can claim
    // what did not reach the file.
    const bool failed = error_.has_value();
    lock.unlock();
    Result<void> done = failed ? Result<void>() : Write(work);
    lock.lock();
    busy_ = false;
    if (!done && !error_) error_ = std::move(done).error();
    if (work.buffer != kBuffers) free_.push_back(work.buffer);
    changed_.notify_all();
  }
}

}  // namespace sluice::storage
