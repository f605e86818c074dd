// ExpertCache: how much of the arena experts may use.

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "cache/expert_cache.h"

namespace sluice::cache {

using storage::PlaneSet;

std::size_t ExpertCache::available() const {
  const std::size_t busy = slots() - idle();
  return std::min(idle(), wide_slots() - std::min(wide_slots(), busy));
}

SlotLoan ExpertCache::Lend(std::size_t count) {
  assert(lent_ == 0 && count < most_wide_ && idle() == slots_.size());
  if (count == 0) return {};
  // Before experts move, which may make the slots wide that they move to.
  if (most_wide_ < slots_.size()) NarrowTo(most_wide_ - count);
  Vacate(count);
  lent_ = count;
  CountWide();
  const auto first = static_cast<std::uint32_t>(slots_.size() - count);
  return {this, {arena_.slot(first), count * arena_.slot_bytes()}};
}

void ExpertCache::EndLoan() {
  const std::size_t kept = slots_.size() - std::exchange(lent_, 0);
  for (std::size_t slot = slots_.size(); slot-- > kept;) {
    slots_[slot].wide = true;  // the borrower has written there
    free_.push_back(static_cast<std::uint32_t>(slot));
  }
  CountWide();
}

void ExpertCache::Resize(std::size_t slots, std::size_t wide) {
  assert(lent_ == 0 && idle() == slots_.size());
  assert(wide > 0 && wide <= slots && slots <= capacity());
  assert(wide == slots || base_bytes_ > 0);
  if (slots < slots_.size()) {
    Vacate(slots_.size() - slots);
    arena_.DiscardFrom(slots);
  }
  for (std::size_t slot = slots; slot-- > slots_.size();) {
    free_.push_back(static_cast<std::uint32_t>(slot));
  }
  slots_.resize(slots);
  CountWide();
  most_wide_ = wide;
  // A huge page would bring back what Narrow gives away.
  arena_.AdviseHugePages(huge_pages_ && wide == slots);
  NarrowTo(wide);
}

void ExpertCache::Vacate(std::size_t count) {
  while (free_.size() < count) {
    const std::uint32_t slot = Evict();
    Clear(slot);
    free_.push_back(slot);
  }
  const auto kept = static_cast<std::uint32_t>(slots_.size() - count);
  std::erase_if(free_, [&](std::uint32_t slot) { return slot >= kept; });
  for (std::uint32_t slot = kept; slot < slots_.size(); ++slot) {
    if (slots_[slot].state == State::kReady) {
      Move(slot, free_.back());
      free_.pop_back();
    }
    slots_[slot] = {};
  }
}

void ExpertCache::Move(std::uint32_t from, std::uint32_t to) {
  const std::size_t bytes = BytesOf(slots_[from]);
  std::memcpy(arena_.slot(to), arena_.slot(from), bytes);
  const bool wide = slots_[to].wide || bytes == arena_.slot_bytes();
  slots_[to] = std::exchange(slots_[from], {});
  slots_[to].wide = wide;
  SlotOf(slots_[to].id) = to;
}

void ExpertCache::Clear(std::uint32_t slot) {
  const bool wide = slots_[slot].wide;
  slots_[slot] = {};
  slots_[slot].wide = wide;
}

bool ExpertCache::Widen(std::uint32_t slot) {
  Slot& s = slots_[slot];
  if (s.wide) return true;
  if (wide_ >= wide_slots() && !NarrowOne()) return false;
  s.wide = true;
  ++wide_;
  return true;
}

bool ExpertCache::NarrowOne() {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& s = slots_[i];
    const bool unneeded =
        s.state == State::kFree || (s.state == State::kReady && s.pins == 0 &&
                                    s.planes == PlaneSet::kBase);
    if (!s.wide || !unneeded) continue;
    Narrow(i);
    return true;
  }
  const auto demotable = [this](ExpertId id) {
    const Slot& s = slots_[SlotOf(id)];
    return s.state == State::kReady && s.pins == 0 && s.wide;
  };
  ExpertId victim;
  if (!policy_->Victim(demotable, victim)) return false;
  const std::uint32_t slot = SlotOf(victim);
  slots_[slot].planes = PlaneSet::kBase;
  ++stats_.demotions;
  Narrow(slot);
  return true;
}

void ExpertCache::Narrow(std::uint32_t slot) {
  assert(base_bytes_ > 0);
  arena_.DiscardEnd(slot, base_bytes_);
  slots_[slot].wide = false;
  --wide_;
}

void ExpertCache::NarrowTo(std::size_t count) {
  while (wide_ > count && NarrowOne()) {
  }
  assert(wide_ <= count);
}

void ExpertCache::CountWide() {
  wide_ = 0;
  for (std::size_t i = 0; i < slots(); ++i) wide_ += slots_[i].wide ? 1 : 0;
}

}  // namespace sluice::cache
