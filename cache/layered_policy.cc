#include "cache/layered_policy.h"

#include <cassert>

namespace sluice::cache {

LayeredPolicy::LayeredPolicy(std::size_t layers, std::size_t experts)
    : experts_(experts),
      touched_(layers * experts),
      resident_(layers * experts),
      layers_(layers),
      candidates_(layers) {}

void LayeredPolicy::Touch(ExpertId id) {
  const std::size_t i = IndexOf(id);
  if (visits_ == 0 || id.layer != visiting_ || touched_[i] == visits_) {
    BeginVisit(id.layer);
    visiting_ = id.layer;
    ++visits_;
  }
  touched_[i] = visits_;
  Use(i);
  layers_[id.layer].stale = true;
}

void LayeredPolicy::UsedWhole(ExpertId id) {
  UseWhole(IndexOf(id));
  layers_[id.layer].stale = true;
}

void LayeredPolicy::Insert(ExpertId id) {
  std::uint8_t& resident = resident_[IndexOf(id)];
  assert(resident == 0);
  resident = 1;
  layers_[id.layer].stale = true;
}

void LayeredPolicy::Erase(ExpertId id) {
  std::uint8_t& resident = resident_[IndexOf(id)];
  assert(resident == 1);
  resident = 0;
  layers_[id.layer].stale = true;
}

bool LayeredPolicy::Victim(const std::function<bool(ExpertId)>& evictable,
                           ExpertId& victim) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    if (layer.stale) layer = {FindBest(l, nullptr), false};
    candidates_[l] = layer.best;
  }
  while (true) {
    const std::uint32_t l = LowestLayer();
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

std::uint64_t LayeredPolicy::Weigh(std::size_t, std::uint64_t score) const {
  return score;
}

void LayeredPolicy::ScoresChanged() {
  for (Layer& layer : layers_) layer.stale = true;
}

std::size_t LayeredPolicy::IndexOf(ExpertId id) const {
  assert(id.layer < layers_.size() && id.expert < experts_);
  return FirstOf(id.layer) + id.expert;
}

LayeredPolicy::Candidate LayeredPolicy::FindBest(
    std::size_t layer, const std::function<bool(ExpertId)>* evictable) const {
  Candidate best;
  for (std::size_t e = 0; e < experts_; ++e) {
    const std::size_t i = FirstOf(layer) + e;
    if (resident_[i] == 0) continue;
    const std::uint64_t score = Score(i);
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

std::uint32_t LayeredPolicy::LowestLayer() const {
  std::uint32_t lowest = kNone;
  std::uint64_t least = 0;
  // From the layer being visited backwards: the order of falling distance to
  // the next visit, so that the first of equals is the one to take.
  const std::size_t count = candidates_.size();
  for (std::size_t back = 0; back < count; ++back) {
    const std::size_t l = (visiting_ + count - back) % count;
    if (candidates_[l].expert == kNone) continue;
    const std::uint64_t weighed = Weigh(l, candidates_[l].score);
    if (lowest == kNone || weighed < least) {
      lowest = static_cast<std::uint32_t>(l);
      least = weighed;
    }
  }
  return lowest;
}

}  // namespace sluice::cache
