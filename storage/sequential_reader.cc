#include "storage/sequential_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::storage {

SequentialReader::~SequentialReader() {
  std::vector<ReadCompletion> completions;
  while (device_.in_flight() > 0 && device_.Wait(completions)) {
  }
}

Result<std::span<const std::byte>> SequentialReader::Next() {
  for (; next_ < end_ && next_ < at_ + kBufferBytes; next_ += kPieceBytes) {
    const std::size_t slot = SlotOf(next_);
    landed_[slot] = false;
    const ReadRequest request = {
        .file = 0,
        .offset = next_,
        .length = Length(next_),
        .destination = buffer_.data() + slot * kPieceBytes,
        .tag = slot};
    SLUICE_TRY(device_.Submit({&request, 1}));
  }
  if (at_ >= end_) return std::span<const std::byte>();
  const std::size_t slot = SlotOf(at_);
  std::vector<ReadCompletion> completions;
  while (!landed_[slot]) {
    completions.clear();
    SLUICE_TRY(device_.Wait(completions));
    for (ReadCompletion& completion : completions) {
      if (completion.error) {
        return tl::unexpected<Error>(std::move(*completion.error));
      }
      landed_[completion.tag] = true;
    }
  }
  const std::size_t length = Length(at_);
  at_ += kPieceBytes;
  return std::span<const std::byte>(buffer_).subspan(slot * kPieceBytes,
                                                     length);
}

std::size_t SequentialReader::Length(std::uint64_t offset) const {
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(kPieceBytes, end_ - offset));
}

}  // namespace sluice::storage
