// LfruPolicy: least frequently and recently used; evicts the expert with the
// lowest sum of a decayed use count and a recency that fades faster.
//
// Time is counted per layer, in visits: a token in decoding, a chunk in
// prefill. A Touch of another layer than the last one, or of an expert that
// this visit has touched already, begins a visit to the expert's layer. Each
// expert, resident or not, has two numbers in 1/65536ths of a use:
//
//   at each new visit to its layer    frequency -= frequency >> 4
//                                     recency   >>= 1
//   at each Touch of it               frequency += 1 use
//                                     recency    = 2 uses
//   score = frequency + recency
//
// The victim has the lowest score. Ties go to the layer whose next visit is
// furthest away, supposing that layers are visited in a cycle: the layer being
// visited, then the one before it, and so on; then to the lowest expert index.
// Insert and Erase change no score. All arithmetic is on integers, so choices
// are the same on every machine.
//
// Why so. Layers are visited in a cycle, so an expert of the layer just left is
// needed last and one of the layer to come is needed first, whatever their last
// use: a clock that runs through all layers, as in LRU or in a count decayed
// per access, evicts the wrong one. Decayed by their own layer's visits, scores
// of different layers are comparable, and experts that are used often stay
// however small the cache is. On routing traces of two real models
// (bench/LEARNED.md) shifts of 3 to 5 with recencies of 1 to 4 uses stay within
// 2 points of decode hit rate of these constants, or 3 where the cache holds
// 2 % of the experts.
//
// Cost: a new visit O(experts); Victim O(layers), and O(experts) for each layer
// that changed since the last call. Touch, Insert, Erase O(1).
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
  static constexpr std::uint32_t kUse = 1u << 16;
  static constexpr std::uint32_t kRecent = 2 * kUse;
  static constexpr unsigned kFrequencyShift = 4;

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
  std::uint32_t ScoreAt(std::size_t index) const {
    return frequency_[index] + recency_[index];
  }
  void BeginVisit(std::uint16_t layer);
  // `evictable` may be null: any resident expert.
  Candidate FindBest(std::size_t layer,
                     const std::function<bool(ExpertId)>* evictable) const;
  // The layer of the lowest candidate, ties by distance; kNone if none has one.
  std::uint32_t LowestLayer(const std::vector<Candidate>& candidates) const;

  std::size_t experts_;
  std::uint16_t visiting_ = 0;
  bool visited_ = false;                  // any layer, ever
  std::vector<std::uint32_t> frequency_;  // [layers, experts]
  std::vector<std::uint32_t> recency_;    // [layers, experts]
  std::vector<std::uint8_t> resident_;    // [layers, experts]
  std::vector<Layer> layers_;
  std::vector<Candidate> candidates_;  // [layers], scratch of Victim
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_LFRU_POLICY_H_
