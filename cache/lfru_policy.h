// LfruPolicy: least frequently and recently used; evicts the expert with the
// lowest sum of a decayed use count and a recency that fades faster.
//
// Time is counted per layer, in visits (LayeredPolicy). Each expert, resident
// or not, has two numbers in 1/65536ths of a use:
//
//   at each new visit to its layer    frequency -= frequency >> 4
//                                     recency   >>= 1
//   at each Touch of it               frequency += 1 use
//                                     recency    = 2 uses
//   score = frequency + recency
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
// Cost: a new visit O(experts); else as LayeredPolicy.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_LFRU_POLICY_H_
#define SLUICE_CACHE_LFRU_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cache/layered_policy.h"

namespace sluice::cache {

class LfruPolicy final : public LayeredPolicy {
 public:
  static constexpr std::uint32_t kUse = 1u << 16;
  static constexpr std::uint32_t kRecent = 2 * kUse;
  static constexpr unsigned kFrequencyShift = 4;

  LfruPolicy(std::size_t layers, std::size_t experts);
  std::string_view name() const override { return "lfru"; }

 private:
  void BeginVisit(std::size_t layer) override;
  void Use(std::size_t index) override;
  std::uint64_t Score(std::size_t index) const override;

  std::vector<std::uint32_t> frequency_;  // [layers, experts]
  std::vector<std::uint32_t> recency_;    // [layers, experts]
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_LFRU_POLICY_H_
