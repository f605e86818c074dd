#include "cache/lfru_policy.h"

#include <cassert>

namespace sluice::cache {

LfruPolicy::LfruPolicy(std::size_t layers, std::size_t experts)
    : experts_(experts),
      frequency_(layers * experts),
      recency_(layers * experts),
      resident_(layers * experts),
      layers_(layers),
      candidates_(layers) {}

void LfruPolicy::Touch(ExpertId id) {
  const std::size_t i = IndexOf(id);
  if (!visited_ || id.layer != visiting_ || recency_[i] == kRecent) {
    BeginVisit(id.layer);
  }
  // One use per visit, so the count stays below 2^kFrequencyShift + 1 uses.
  frequency_[i] += kUse;
  recency_[i] = kRecent;
  layers_[id.layer].stale = true;
}

void LfruPolicy::Insert(ExpertId id) {
  std::uint8_t& resident = resident_[IndexOf(id)];
  assert(resident == 0);
  resident = 1;
  layers_[id.layer].stale = true;
}

void LfruPolicy::Erase(ExpertId id) {
  std::uint8_t& resident = resident_[IndexOf(id)];
  assert(resident == 1);
  resident = 0;
  layers_[id.layer].stale = true;
}

bool LfruPolicy::Victim(const std::function<bool(ExpertId)>& evictable,
                        ExpertId& victim) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    if (layer.stale) layer = {FindBest(l, nullptr), false};
    candidates_[l] = layer.best;
  }
  while (true) {
    const std::uint32_t l = LowestLayer(candidates_);
    if (l == kNone) return false;
    const ExpertId id{static_cast<std::uint16_t>(l),
                      static_cast<std::uint16_t>(candidates_[l].expert)};
    if (evictable(id)) {
      victim = id;
      return true;
    }
    // The layer's lowest is in use: its lowest that is not takes its place.
    // What comes back is evictable, so each layer is searched at most once.
    candidates_[l] = FindBest(l, &evictable);
  }
}

std::size_t LfruPolicy::IndexOf(ExpertId id) const {
  assert(id.layer < layers_.size() && id.expert < experts_);
  return std::size_t{id.layer} * experts_ + id.expert;
}

void LfruPolicy::BeginVisit(std::uint16_t layer) {
  visiting_ = layer;
  visited_ = true;
  const std::size_t first = std::size_t{layer} * experts_;
  for (std::size_t i = first; i < first + experts_; ++i) {
    frequency_[i] -= frequency_[i] >> kFrequencyShift;
    recency_[i] >>= 1;
  }
}

LfruPolicy::Candidate LfruPolicy::FindBest(
    std::size_t layer, const std::function<bool(ExpertId)>* evictable) const {
  Candidate best;
  for (std::size_t e = 0; e < experts_; ++e) {
    const std::size_t i = layer * experts_ + e;
    if (resident_[i] == 0) continue;
    const std::uint32_t score = ScoreAt(i);
    if (best.expert != kNone && score >= best.score) continue;
    if (evictable != nullptr &&
        !(*evictable)({static_cast<std::uint16_t>(layer),
                       static_cast<std::uint16_t>(e)})) {
      continue;
    }
    best = {static_cast<std::uint32_t>(e), score};
  }
  return best;
}

std::uint32_t LfruPolicy::LowestLayer(
    const std::vector<Candidate>& candidates) const {
  std::uint32_t lowest = kNone;
  // From the layer being visited backwards: the order of falling distance to
  // the next visit, so that the first of equals is the one to take.
  const std::size_t count = candidates.size();
  for (std::size_t back = 0; back < count; ++back) {
    const std::size_t l = (visiting_ + count - back) % count;
    if (candidates[l].expert == kNone) continue;
    if (lowest == kNone || candidates[l].score < candidates[lowest].score) {
      lowest = static_cast<std::uint32_t>(l);
    }
  }
  return lowest;
}

}  // namespace sluice::cache
