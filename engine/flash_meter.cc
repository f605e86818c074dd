#include "engine/flash_meter.h"

#include <algorithm>
#include <random>
#include <utility>

namespace sluice {
namespace {

constexpr double kSecondsEach = 0.3;
constexpr double kSecondsAtMost = 1.5;  // for flash that is slow
constexpr std::size_t kRounds = 5;      // experts read into each slot

std::vector<ExpertId> ShuffledExperts(const storage::ExpertStore& store) {
  std::vector<ExpertId> ids;
  for (std::uint32_t layer = 0; layer < store.layers(); ++layer) {
    for (std::uint32_t expert = 0; expert < store.experts(); ++expert) {
      ids.push_back({static_cast<std::uint16_t>(layer),
                     static_cast<std::uint16_t>(expert)});
    }
  }
  std::mt19937 random(1);
  std::ranges::shuffle(ids, random);
  return ids;
}

}  // namespace

FlashMeter::FlashMeter(const storage::ExpertStore& store,
                       storage::ReadDevice& device, std::span<std::byte> memory,
                       std::size_t slot_bytes)
    : store_(store),
      device_(device),
      memory_(memory),
      slot_bytes_(slot_bytes),
      ids_(ShuffledExperts(store)),
      slots_(memory.size() / slot_bytes) {}

Result<FlashMeter::Rates> FlashMeter::Measure(const Beside& beside) {
  for (std::size_t i = 0; i < slots_.size(); ++i) ReadInto(i);
  std::vector<storage::ReadCompletion> completions;
  while (device_.in_flight() > 0) {
    completions.clear();
    if (beside && !rates_) {
      beside_bytes_ += beside();
      SLUICE_TRY(device_.Poll(completions));
    } else {
      SLUICE_TRY(device_.Wait(completions));
    }
    for (storage::ReadCompletion& done : completions) {
      if (done.error && !error_) error_ = std::move(done.error);
      Count(static_cast<std::size_t>(done.tag));
    }
  }
  if (error_) return tl::unexpected<Error>(std::move(*error_));
  return rates_.value_or(Rates{});
}

void FlashMeter::ReadInto(std::size_t i) {
  const storage::ExpertReads reads = store_.Reads(
      ids_[next_++ % ids_.size()], memory_.data() + i * slot_bytes_,
      storage::ReadClass::kDemand, i);
  slots_[i] = {.reads_left = reads.span().size()};
  for (const auto& request : reads.span()) slots_[i].bytes += request.length;
  if (Result<void> sent = device_.Submit(reads.span()); !sent && !error_) {
    error_ = std::move(sent).error();
  }
}

// One of the reads of slot `i` is complete.
void FlashMeter::Count(std::size_t i) {
  if (--slots_[i].reads_left > 0) return;
  ++experts_;
  bytes_ += slots_[i].bytes;
  if (experts_ == slots_.size()) {
    start_ = Clock::now();
    bytes_ = 0;
    beside_bytes_ = 0;
  }
  if (error_ || rates_) return;
  if (experts_ > slots_.size()) {
    Decide(std::chrono::duration<double>(Clock::now() - start_).count());
  }
  if (!rates_) ReadInto(i);
}

void FlashMeter::Decide(double seconds) {
  const bool enough =
      seconds >= kSecondsEach && experts_ >= kRounds * slots_.size();
  if (!enough && seconds < kSecondsAtMost) return;
  rates_ = Rates{.flash = static_cast<double>(bytes_) / seconds,
                 .beside = beside_bytes_ / seconds};
}

}  // namespace sluice
