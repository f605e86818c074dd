// LfruPolicy: least frequently and recently used; evicts the expert with the
// lowest decayed use count.
//
// Time is counted per layer. A visit to a layer is a run of Touches of that
// layer, ended by a Touch of another one: a token in decoding, a chunk in
// prefill. Each expert, resident or not, has a score in 1/65536ths of a use:
//
//   at each new visit to its layer   score -= score >> kDecayShift
//   at each Touch of it              score += kUse
//
// The victim has the lowest score. Ties go to the layer whose next visit is
// furthest away, supposing that layers are visited in a cycle: the layer being
// visited first, then the one before it; then to the lowest expert index. All
// arithmetic is on integers, so choices are the same on every machine.
//
// Scores of different layers are comparable because each decays by its own
// layer's visits. Where plain recency evicts exactly what the cycle needs
// next, this keeps the experts that are used often, however small the cache.
//
// Cost: a new visit O(experts); Victim O(layers + experts) for each layer
// changed since the last call. Touch, Insert, Erase O(1).
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_LFRU_POLICY_H_
#define SLUICE_CACHE_LFRU_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "cache/eviction_policy.h"
#include "storage/expert_id.h"

namespace sluice::cache {

class LfruPolicy final : public EvictionPolicy {
 public:
  // One use. 2^16 * 2^kDecayShift, the limit of a score that is used at every
  // visit, is far below 2^32.
  static constexpr std::uint32_t kUse = 1u << 16;
  // A score halves in 0.69 * 2^kDecayShift visits.
  static constexpr unsigned kDecayShift = 5;

  LfruPolicy(std::size_t layers, std::size_t experts);

  void Touch(ExpertId id) override;
  void Insert(ExpertId id) override;
  void Erase(ExpertId id) override;
  bool Victim(const std::function<bool(ExpertId)>& evictable,
              ExpertId& victim) override;
  std::string_view name() const override { return "lfru"; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  // The best victim of a layer: `expert` is kNone when there is none.
  struct Candidate {
    std::uint32_t expert = kNone;
    std::uint32_t score = 0;
  };
  struct Layer {
    Candidate best;
    bool stale = false;  // `best` must be found again
  };

  std::size_t IndexOf(ExpertId id) const;
  void BeginVisit(std::uint16_t layer);
  // `evictable` may be null: any resident expert.
  Candidate FindBest(std::size_t layer,
                     const std::function<bool(ExpertId)>* evictable) const;
  // The layer of the lowest candidate, ties by distance; kNone if none has one.
  std::uint32_t LowestLayer(const std::vector<Candidate>& candidates) const;

  std::size_t experts_;
  std::uint16_t visiting_ = 0;
  bool visited_ = false;                // any layer, ever
  std::vector<std::uint32_t> scores_;   // [layers, experts]
  std::vector<std::uint8_t> resident_;  // [layers, experts]
  std::vector<Layer> layers_;
  std::vector<Candidate> candidates_;  // [layers], scratch of Victim
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_LFRU_POLICY_H_
