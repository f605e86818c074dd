#include "cache/eviction_policy.h"

#include <fmt/format.h>

#include <string>

#include "cache/hobbit_policy.h"
#include "cache/learned_policy.h"
#include "cache/lfru_policy.h"
#include "cache/lfu_policy.h"
#include "cache/lru_policy.h"

namespace sluice::cache {

std::string_view PolicyName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kLru:
      return "lru";
    case PolicyKind::kLfu:
      return "lfu";
    case PolicyKind::kLfru:
      return "lfru";
    case PolicyKind::kHobbit:
      return "hobbit";
    case PolicyKind::kHobbitPrecision:
      return "hobbit-precision";
    case PolicyKind::kLearned:
      return "learned";
  }
  return "unknown";
}

Result<PolicyKind> ParsePolicy(std::string_view name) {
  std::string known;
  for (const PolicyKind kind : kPolicyKinds) {
    if (name == PolicyName(kind)) return kind;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", PolicyName(kind));
  }
  return Fail(
      ErrorCode::kInvalidArgument,
      fmt::format("unknown eviction policy '{}'; use one of {}", name, known));
}

std::unique_ptr<EvictionPolicy> MakePolicy(PolicyKind kind, std::size_t layers,
                                           std::size_t experts) {
  switch (kind) {
    case PolicyKind::kLru:
      return std::make_unique<LruPolicy>(layers, experts);
    case PolicyKind::kLfu:
      return std::make_unique<LfuPolicy>(layers, experts);
    case PolicyKind::kHobbit:
      return std::make_unique<HobbitPolicy>(layers, experts);
    case PolicyKind::kHobbitPrecision:
      return std::make_unique<HobbitPolicy>(layers, experts,
                                            HobbitPolicy::WithPrecision());
    case PolicyKind::kLfru:
      return std::make_unique<LfruPolicy>(layers, experts);
    case PolicyKind::kLearned:
      break;
  }
  return std::make_unique<LearnedPolicy>(layers, experts);
}

}  // namespace sluice::cache
