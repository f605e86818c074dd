#include "storage/read_back.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "storage/sequential_reader.h"

namespace sluice::storage {

Result<std::unique_ptr<ReadBack>> ReadBack::Start(const std::string& path,
                                                  const ContainerIndex& index,
                                                  OpenFile open) {
  std::unique_ptr<ReadBack> back(new ReadBack(path, index, std::move(open)));
  SLUICE_ASSIGN(back->buffer_,
                AlignedBuffer::Allocate(SequentialReader::kBufferBytes,
                                        {.huge_pages = true}));
  back->thread_ = std::thread([raw = back.get()] { raw->Run(); });
  return back;
}

ReadBack::~ReadBack() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ReadBack::Add(WrittenRange range) {
  {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(std::move(range));
  }
  changed_.notify_all();
}

Result<void> ReadBack::Check() const {
  const std::scoped_lock lock(mutex_);
  if (error_) return tl::unexpected(*error_);
  return {};
}

std::uint64_t ReadBack::bytes() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

Result<std::uint64_t> ReadBack::WaitBeyond(std::uint64_t bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return bytes_ > bytes || (queue_.empty() && !busy_) || error_;
  });
  if (error_) return tl::unexpected(*error_);
  return bytes_;
}

bool ReadBack::complete() const {
  const std::scoped_lock lock(mutex_);
  return !error_ && queue_.empty() && !busy_ && whole_;
}

void ReadBack::Extend(WrittenRange& range) {
  while (!queue_.empty() && queue_.front().begin == range.end) {
    WrittenRange& next = queue_.front();
    std::ranges::move(next.extents, std::back_inserter(range.extents));
    range.end = next.end;
    queue_.pop_front();
  }
}

Result<void> ReadBack::Read(const WrittenRange& range) {
  if (checker_.at() != range.begin) {
    if (!checker_.done()) {
      return Fail(ErrorCode::kInternal,
                  "a part that was written is not read back whole");
    }
    checker_.Seek(range.begin);
  }
  checker_.Expect(range.extents);
  if (range.begin == range.end) return {};
  SLUICE_ASSIGN(const auto device, open_());
  SequentialReader reader(*device, buffer_.span(), range.begin, range.end);
  while (true) {
    SLUICE_ASSIGN(const auto bytes, reader.Next());
    if (bytes.empty()) return {};
    SLUICE_TRY(checker_.Take(bytes));
    if (!Count(bytes.size())) return {};
  }
}

bool ReadBack::Count(std::uint64_t bytes) {
  bool go_on = true;
  {
    const std::scoped_lock lock(mutex_);
    bytes_ += bytes;
    go_on = !stop_;
  }
  changed_.notify_all();
  return go_on;
}

void ReadBack::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return !queue_.empty() || stop_; });
    if (stop_) return;
    WrittenRange range = std::move(queue_.front());
    queue_.pop_front();
    Extend(range);
    busy_ = true;
    const bool failed = error_.has_value();
    lock.unlock();
    Result<void> read = failed ? Result<void>() : Read(range);
    lock.lock();
    busy_ = false;
    whole_ = checker_.done();
    if (!read && !error_) error_ = std::move(read).error();
    changed_.notify_all();
  }
}

}  // namespace sluice::storage
