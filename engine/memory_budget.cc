#include "engine/memory_budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/size_text.h"

namespace sluice {
namespace {

// What the plan counts besides experts. The kernel's page tables for slots that
// are not used any more stay, and with them its whole share.
std::uint64_t FixedBytes(const PlanReport& plan) {
  return plan.process_bytes + plan.tokenizer_bytes + plan.dense_bytes +
         plan.kv_bytes + plan.scratch_bytes;
}

std::uint64_t LeastExpertBytes(const PlanReport& plan) {
  if (!plan.streaming) return plan.expert_bytes;
  return plan.experts_per_token / plan.layers * plan.slot_bytes;
}

}  // namespace

std::uint64_t LeastBudget(const PlanReport& plan) {
  // At the floor the plan rounds its parts in the engine's favour.
  return std::min(FixedBytes(plan) + LeastExpertBytes(plan), plan.memory_bytes);
}

std::size_t SlotsWithin(const PlanReport& plan, std::uint64_t bytes) {
  const std::uint64_t fixed = FixedBytes(plan);
  const std::uint64_t room = bytes > fixed ? bytes - fixed : 0;
  return std::clamp<std::size_t>(
      room / plan.slot_bytes, plan.experts_per_token / plan.layers, plan.slots);
}

Result<void> MemoryBudget::Request(std::uint64_t bytes) {
  if (bytes > plan_.memory_bytes) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: was opened with {} of memory and cannot grow to {}; "
                    "open it again with a larger memory limit",
                    path_, FormatSize(plan_.memory_bytes), FormatSize(bytes)));
  }
  if (const std::uint64_t least = LeastBudget(plan_); bytes < least) {
    return Fail(
        ErrorCode::kNoMemory,
        fmt::format("{}: cannot shrink to {} of memory; give it at least {}K, "
                    "or open it again {}",
                    path_, FormatSize(bytes), least / 1024 + 1,
                    plan_.streaming
                        ? "with a shorter context"
                        : "with less memory, so that its experts stream"));
  }
  wanted_ = bytes;
  return {};
}

std::optional<std::uint64_t> MemoryBudget::Take() {
  const std::uint64_t bytes = wanted_.exchange(0);
  if (bytes == 0) return std::nullopt;
  return bytes;
}

}  // namespace sluice
