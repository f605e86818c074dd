// LfuPolicy: evicts the expert that was used in the fewest visits, ever.
//
// Nothing fades, resident or not: what was frequent long ago stays. Ties and
// costs as in LayeredPolicy; Touch O(1).
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_LFU_POLICY_H_
#define SLUICE_CACHE_LFU_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cache/layered_policy.h"

namespace sluice::cache {

class LfuPolicy final : public LayeredPolicy {
 public:
  LfuPolicy(std::size_t layers, std::size_t experts)
      : LayeredPolicy(layers, experts), uses_(layers * experts) {}
  std::string_view name() const override { return "lfu"; }

 private:
  void BeginVisit(std::size_t) override {}
  void Use(std::size_t index) override { ++uses_[index]; }
  std::uint64_t Score(std::size_t index) const override { return uses_[index]; }

  std::vector<std::uint64_t> uses_;  // [layers, experts]
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_LFU_POLICY_H_
