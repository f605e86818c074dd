// EvictionPolicy: which of the evictable experts goes. A policy sees expert
// ids and a clock, never bytes or slots, so the live cache and an offline
// replay of the same accesses make the same choices.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_EVICTION_POLICY_H_
#define SLUICE_CACHE_EVICTION_POLICY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "storage/expert_id.h"
#include "storage/result.h"

namespace sluice::cache {

enum class PolicyKind {
  kLru,
  kLfu,
  kLfru,
  kHobbit,
  kHobbitPrecision,
  kLearned
};
inline constexpr std::array kPolicyKinds = {PolicyKind::kLru,
                                            PolicyKind::kLfu,
                                            PolicyKind::kLfru,
                                            PolicyKind::kHobbit,
                                            PolicyKind::kHobbitPrecision,
                                            PolicyKind::kLearned};

std::string_view PolicyName(PolicyKind kind);           // "lru", "lfu", ...
Result<PolicyKind> ParsePolicy(std::string_view name);  // kInvalidArgument

class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  // What comes next is another text: a context that begins anew.
  virtual void BeginSequence() {}
  // `id` was asked for by the router: a hit or a miss, once per request.
  virtual void Touch(ExpertId id) = 0;
  // The use that the last Touch, of `id`, told of wanted all of its planes.
  virtual void UsedWhole(ExpertId /*id*/) {}
  // `id` became resident / is resident no more.
  virtual void Insert(ExpertId id) = 0;
  virtual void Erase(ExpertId id) = 0;
  // The resident expert to evict next among those for which `evictable` is
  // true; false when there is none.
  virtual bool Victim(const std::function<bool(ExpertId)>& evictable,
                      ExpertId& victim) = 0;
  virtual std::string_view name() const = 0;
};

// `layers` x `experts` is the id space.
std::unique_ptr<EvictionPolicy> MakePolicy(PolicyKind kind, std::size_t layers,
                                           std::size_t experts);

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_EVICTION_POLICY_H_
