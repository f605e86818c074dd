// LruPolicy: evicts the expert whose last use is longest ago.
//
// A use is a Touch or an Insert: an expert that comes in without having been
// asked for (a guess) starts as the most recent one. Touch, Insert and Erase
// cost O(1); Victim costs O(1) and one step per expert that may not go.
//
// Layers are visited in a cycle, so below the experts of one token this policy
// evicts each expert shortly before it is needed and hits almost nothing.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_LRU_POLICY_H_
#define SLUICE_CACHE_LRU_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "cache/eviction_policy.h"
#include "storage/expert_id.h"

namespace sluice::cache {

class LruPolicy final : public EvictionPolicy {
 public:
  LruPolicy(std::size_t layers, std::size_t experts);

  void Touch(ExpertId id) override;
  void Insert(ExpertId id) override;
  void Erase(ExpertId id) override;
  bool Victim(const std::function<bool(ExpertId)>& evictable,
              ExpertId& victim) override;
  std::string_view name() const override { return "lru"; }

 private:
  // Resident experts form a ring through `sentinel_`, oldest first; a node
  // that links to itself is not resident.
  struct Node {
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };

  std::uint32_t NodeOf(ExpertId id) const;
  bool Resident(std::uint32_t node) const;
  void Unlink(std::uint32_t node);
  void LinkNewest(std::uint32_t node);

  std::size_t experts_;
  std::uint32_t sentinel_;   // the node after the last expert's
  std::vector<Node> nodes_;  // [layers * experts + 1]
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_LRU_POLICY_H_
