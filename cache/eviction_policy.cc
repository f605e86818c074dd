#include "cache/eviction_policy.h"

#include <fmt/format.h>

#include "cache/lfru_policy.h"
#include "cache/lru_policy.h"

namespace sluice::cache {

std::string_view PolicyName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kLru:
      return "lru";
    case PolicyKind::kLfru:
      return "lfru";
  }
  return "unknown";
}

Result<PolicyKind> ParsePolicy(std::string_view name) {
  for (const PolicyKind kind : {PolicyKind::kLru, PolicyKind::kLfru}) {
    if (name == PolicyName(kind)) return kind;
  }
  return Fail(
      ErrorCode::kInvalidArgument,
      fmt::format("unknown eviction policy '{}'; use lru or lfru", name));
}

std::unique_ptr<EvictionPolicy> MakePolicy(PolicyKind kind, std::size_t layers,
                                           std::size_t experts) {
  if (kind == PolicyKind::kLru) {
    return std::make_unique<LruPolicy>(layers, experts);
  }
  return std::make_unique<LfruPolicy>(layers, experts);
}

}  // namespace sluice::cache
