#include "storage/fault_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>

namespace sluice::storage {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> PathsOf(const ReadDevice& device) {
  return {device.paths().begin(), device.paths().end()};
}

std::vector<std::uint64_t> SizesOf(const ReadDevice& device) {
  return {device.file_sizes().begin(), device.file_sizes().end()};
}

class FaultDevice final : public ReadDevice {
 public:
  FaultDevice(std::unique_ptr<ReadDevice> inner, FaultOptions options)
      : ReadDevice(PathsOf(*inner), SizesOf(*inner)),
        inner_(std::move(inner)),
        options_(std::move(options)) {}

 private:
  struct Pending {
    ReadRequest request;
    std::uint64_t number = 0;                  // of the request, from 0
    Clock::time_point ready;                   // not delivered before
    std::optional<ReadCompletion> completion;  // once the inner device has it
  };

  Result<void> SubmitImpl(std::span<const ReadRequest> requests) override;
  Result<void> ReapImpl(bool block, std::vector<ReadCompletion>& out) override;
  void CancelImpl(std::uint64_t tag) override { inner_->Cancel(tag); }
  void PromoteImpl(std::uint64_t tag) override { inner_->Promote(tag); }
  std::string_view NameImpl() const override { return inner_->name(); }
  bool DirectImpl() const override { return inner_->direct(); }

  // Takes what the inner device has completed, and damages it.
  Result<void> TakeInner(bool block);
  // Delivers what is ready; the number delivered.
  std::size_t Deliver(std::vector<ReadCompletion>& out);
  // Waits for the inner device or for the end of a delay.
  Result<void> WaitForOne();
  void Damage(Pending& pending) const;
  std::optional<Error> FaultOf(const Pending& pending) const;
  void FlipBits(const ReadRequest& request) const;

  const std::unique_ptr<ReadDevice> inner_;
  const FaultOptions options_;
  std::vector<Pending> pending_;  // in the order of submission
  std::uint64_t submitted_ = 0;
};

bool Touches(const ReadRequest& request, std::uint32_t file,
             std::uint64_t begin, std::uint64_t end) {
  return request.file == file && begin < request.offset + request.length &&
         end > request.offset;
}

Result<void> FaultDevice::SubmitImpl(std::span<const ReadRequest> requests) {
  SLUICE_TRY(inner_->Submit(requests));
  const Clock::time_point ready = Clock::now() + options_.delay;
  for (const ReadRequest& request : requests) {
    pending_.push_back({request, submitted_++, ready, {}});
  }
  return {};
}

Result<void> FaultDevice::ReapImpl(bool block,
                                   std::vector<ReadCompletion>& out) {
  SLUICE_TRY(TakeInner(/*block=*/false));
  while (Deliver(out) == 0 && block) SLUICE_TRY(WaitForOne());
  return {};
}

Result<void> FaultDevice::WaitForOne() {
  const Pending* first = nullptr;
  for (const Pending& pending : pending_) {
    if (!pending.completion) continue;
    if (first == nullptr || pending.ready < first->ready) first = &pending;
  }
  if (first == nullptr) return TakeInner(/*block=*/true);
  std::this_thread::sleep_until(first->ready);
  return TakeInner(/*block=*/false);
}

Result<void> FaultDevice::TakeInner(bool block) {
  std::vector<ReadCompletion> done;
  SLUICE_TRY(block ? inner_->Wait(done) : inner_->Poll(done));
  stats_.reads = inner_->stats().reads;
  for (ReadCompletion& completion : done) {
    const auto match =
        std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) {
          return !p.completion && p.request.tag == completion.tag;
        });
    match->completion = std::move(completion);
    Damage(*match);
  }
  return {};
}

std::size_t FaultDevice::Deliver(std::vector<ReadCompletion>& out) {
  const std::size_t before = out.size();
  const Clock::time_point now = Clock::now();
  std::erase_if(pending_, [&](Pending& pending) {
    if (!pending.completion || pending.ready > now) return false;
    out.push_back(*std::move(pending.completion));
    return true;
  });
  if (options_.reverse) {
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
  }
  return out.size() - before;
}

void FaultDevice::Damage(Pending& pending) const {
  ReadCompletion& completion = *pending.completion;
  if (completion.error || pending.number < options_.after_requests) return;
  completion.error = FaultOf(pending);
  if (completion.error) {
    completion.bytes = 0;
  } else {
    FlipBits(pending.request);
  }
}

std::optional<Error> FaultDevice::FaultOf(const Pending& pending) const {
  const ReadRequest& request = pending.request;
  const std::string& path = paths()[request.file];
  if (options_.fail_request == pending.number - options_.after_requests) {
    return Error{ErrorCode::kIo,
                 fmt::format("{}: read failed at offset {}: injected fault",
                             path, request.offset)};
  }
  for (const FaultOptions::Range& range : options_.fail_ranges) {
    if (!Touches(request, range.file, range.offset,
                 range.offset + range.length)) {
      continue;
    }
    return Error{ErrorCode::kIo,
                 fmt::format("{}: read failed at offset {}: injected fault",
                             path, std::max(range.offset, request.offset))};
  }
  for (const FaultOptions::Truncation& cut : options_.truncations) {
    const std::uint64_t size = file_sizes()[request.file];
    if (!Touches(request, cut.file, cut.size, size)) continue;
    return Error{
        ErrorCode::kIo,
        fmt::format("{}: truncated at offset {}: the file had {} bytes "
                    "when it was opened; injected fault",
                    path, std::max(cut.size, request.offset), size)};
  }
  return {};
}

void FaultDevice::FlipBits(const ReadRequest& request) const {
  for (const FaultOptions::BitFlip& flip : options_.bit_flips) {
    if (!Touches(request, flip.file, flip.offset, flip.offset + 1)) continue;
    request.destination[flip.offset - request.offset] ^= std::byte{flip.mask};
  }
}

}  // namespace

std::unique_ptr<ReadDevice> MakeFaultDevice(std::unique_ptr<ReadDevice> inner,
                                            FaultOptions options) {
  return std::make_unique<FaultDevice>(std::move(inner), std::move(options));
}

}  // namespace sluice::storage
