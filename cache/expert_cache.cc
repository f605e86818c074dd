#include "cache/expert_cache.h"

#include <fmt/format.h>

#include <cassert>
#include <cstring>
#include <utility>

namespace sluice::cache {
namespace {

// More than any model has; keeps the bookkeeping's own size in bounds.
constexpr std::size_t kMaxEntries = std::size_t{1} << 24;
constexpr std::size_t kMaxIndex = std::size_t{1} << 16;  // ExpertId's fields

}  // namespace

// ------------------------------------------------------------------- Pin

Pin::Pin(Pin&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)), slot_(other.slot_) {}

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this != &other) {
    if (cache_ != nullptr) cache_->Unpin(slot_);
    cache_ = std::exchange(other.cache_, nullptr);
    slot_ = other.slot_;
  }
  return *this;
}

Pin::~Pin() {
  if (cache_ != nullptr) cache_->Unpin(slot_);
}

ExpertId Pin::id() const {
  assert(cache_ != nullptr);
  return cache_->slots_[slot_].id;
}

bool Pin::ready() const {
  assert(cache_ != nullptr);
  return cache_->slots_[slot_].state == ExpertCache::State::kReady;
}

bool Pin::failed() const {
  assert(cache_ != nullptr);
  return cache_->slots_[slot_].state == ExpertCache::State::kAbandoned;
}

const std::byte* Pin::data() const {
  assert(ready());
  return cache_->arena_.slot(slot_);
}

storage::PlaneSet Pin::planes() const {
  assert(ready());
  return cache_->slots_[slot_].planes;
}

// ----------------------------------------------------------- Reservation

Reservation::Reservation(Reservation&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)), slot_(other.slot_) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    if (cache_ != nullptr) cache_->Abort(slot_);
    cache_ = std::exchange(other.cache_, nullptr);
    slot_ = other.slot_;
  }
  return *this;
}

Reservation::~Reservation() {
  if (cache_ != nullptr) cache_->Abort(slot_);
}

ExpertId Reservation::id() const {
  assert(cache_ != nullptr);
  return cache_->slots_[slot_].id;
}

std::byte* Reservation::data() const {
  assert(cache_ != nullptr);
  return cache_->arena_.slot(slot_);
}

Pin Reservation::Commit() {
  assert(cache_ != nullptr);
  return std::exchange(cache_, nullptr)->Commit(slot_);
}

// -------------------------------------------------------------- SlotLoan

SlotLoan::SlotLoan(SlotLoan&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      memory_(std::exchange(other.memory_, {})) {}

SlotLoan& SlotLoan::operator=(SlotLoan&& other) noexcept {
  if (this != &other) {
    if (cache_ != nullptr) cache_->EndLoan();
    cache_ = std::exchange(other.cache_, nullptr);
    memory_ = std::exchange(other.memory_, {});
  }
  return *this;
}

SlotLoan::~SlotLoan() {
  if (cache_ != nullptr) cache_->EndLoan();
}

// ----------------------------------------------------------- ExpertCache

Result<std::unique_ptr<ExpertCache>> ExpertCache::Create(
    const Options& options) {
  if (options.layers == 0 || options.layers > kMaxIndex ||
      options.experts == 0 || options.experts > kMaxIndex ||
      options.layers * options.experts > kMaxEntries ||
      options.slots > kMaxEntries) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("cannot cache {} layers of {} experts in {} slots",
                            options.layers, options.experts, options.slots));
  }
  SLUICE_ASSIGN(SlotArena arena,
                SlotArena::Allocate(
                    options.slots, options.slot_bytes,
                    {.huge_pages = options.huge_pages, .lock = options.lock}));
  return std::unique_ptr<ExpertCache>(
      new ExpertCache(options, std::move(arena)));
}

ExpertCache::ExpertCache(const Options& options, SlotArena arena)
    : arena_(std::move(arena)),
      policy_(MakePolicy(options.policy, options.layers, options.experts)),
      slots_(options.slots),
      free_(options.slots),
      index_(options.layers * options.experts, kNoSlot),
      experts_(options.experts),
      base_bytes_(options.base_bytes),
      huge_pages_(options.huge_pages),
      most_wide_(options.slots) {
  // Taken from the back, so the lowest slots are used first.
  for (std::size_t i = 0; i < free_.size(); ++i) {
    free_[i] = static_cast<std::uint32_t>(free_.size() - 1 - i);
  }
}

ExpertCache::~ExpertCache() {
  // Pins and reservations must not outlive the cache.
  assert(idle() == slots_.size());  // nor loans
}

void ExpertCache::Remember(ExpertId id, storage::PlaneSet wanted) {
  policy_->Touch(id);
  if (wanted == storage::PlaneSet::kAll) policy_->UsedWhole(id);
}

std::optional<Pin> ExpertCache::Lookup(ExpertId id, storage::PlaneSet wanted) {
  ++stats_.lookups;
  Remember(id, wanted);
  const std::uint32_t slot = SlotOf(id);
  if (slot == kNoSlot) {
    ++stats_.misses;
    return std::nullopt;
  }
  if (slots_[slot].state == State::kReady) {
    ++stats_.hits;
  } else {
    ++stats_.joins;
  }
  return MakePin(slot);
}

std::optional<Pin> ExpertCache::Peek(ExpertId id) {
  const std::uint32_t slot = SlotOf(id);
  if (slot == kNoSlot) return std::nullopt;
  return MakePin(slot);
}

std::byte* ExpertCache::Extend(const Pin& pin) {
  assert(pin.planes() == storage::PlaneSet::kBase);
  return Widen(pin.slot_) ? arena_.slot(pin.slot_) : nullptr;
}

void ExpertCache::MakeWhole(const Pin& pin) {
  assert(pin.planes() == storage::PlaneSet::kBase && slots_[pin.slot_].wide);
  slots_[pin.slot_].planes = storage::PlaneSet::kAll;
}

std::optional<Reservation> ExpertCache::Reserve(ExpertId id,
                                                storage::PlaneSet planes) {
  assert(!Contains(id));
  std::uint32_t slot = kNoSlot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    slot = Evict();
    if (slot == kNoSlot) return std::nullopt;
  }
  if (planes == storage::PlaneSet::kAll && !Widen(slot)) {
    Clear(slot);
    free_.push_back(slot);
    return std::nullopt;
  }
  slots_[slot] = {.id = id,
                  .state = State::kLoading,
                  .pins = 0,
                  .planes = planes,
                  .wide = slots_[slot].wide};
  SlotOf(id) = slot;
  policy_->Insert(id);
  return Reservation(this, slot);
}

bool ExpertCache::Contains(ExpertId id) const { return SlotOf(id) != kNoSlot; }

std::vector<std::span<const std::byte>> ExpertCache::ReadySlots() {
  std::vector<std::span<const std::byte>> ready;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].state != State::kReady) continue;
    ready.emplace_back(arena_.slot(i), BytesOf(slots_[i]));
  }
  return ready;
}

std::uint32_t& ExpertCache::SlotOf(ExpertId id) {
  const std::size_t i = std::size_t{id.layer} * experts_ + id.expert;
  assert(id.expert < experts_ && i < index_.size());
  return index_[i];
}

std::uint32_t ExpertCache::SlotOf(ExpertId id) const {
  const std::size_t i = std::size_t{id.layer} * experts_ + id.expert;
  assert(id.expert < experts_ && i < index_.size());
  return index_[i];
}

Pin ExpertCache::MakePin(std::uint32_t slot) {
  Slot& s = slots_[slot];
  if (s.state == State::kReady && s.pins == 0) --idle_;
  ++s.pins;
  return Pin(this, slot);
}

std::uint32_t ExpertCache::Evict() {
  if (idle_ == 0) return kNoSlot;
  const auto evictable = [this](ExpertId id) {
    const Slot& s = slots_[SlotOf(id)];
    return s.state == State::kReady && s.pins == 0;
  };
  ExpertId victim;
  const bool found = policy_->Victim(evictable, victim);
  assert(found);
  if (!found) return kNoSlot;
  const std::uint32_t slot = std::exchange(SlotOf(victim), kNoSlot);
  policy_->Erase(victim);
  --idle_;
  ++stats_.evictions;
  return slot;
}

void ExpertCache::Unpin(std::uint32_t slot) {
  Slot& s = slots_[slot];
  assert(s.pins > 0);
  if (--s.pins > 0) return;
  if (s.state == State::kReady) ++idle_;
  if (s.state == State::kAbandoned) {
    s.state = State::kFree;
    free_.push_back(slot);
  }
}

Pin ExpertCache::Commit(std::uint32_t slot) {
  Slot& s = slots_[slot];
  assert(s.state == State::kLoading);
  s.state = State::kReady;
  if (s.pins == 0) ++idle_;  // until the pin made below takes it
  ++stats_.commits;
  return MakePin(slot);
}

void ExpertCache::Abort(std::uint32_t slot) {
  Slot& s = slots_[slot];
  assert(s.state == State::kLoading);
  SlotOf(s.id) = kNoSlot;
  policy_->Erase(s.id);
  ++stats_.aborts;
  if (s.pins > 0) {
    s.state = State::kAbandoned;
    return;
  }
  s.state = State::kFree;
  free_.push_back(slot);
}

}  // namespace sluice::cache
