#include "engine/memory_budget.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "engine/size_text.h"
#include "storage/aligned_buffer.h"

namespace sluice {
namespace {

// Of whole slots' way to bases alone, one part goes.
constexpr std::size_t kStepToBases = 4;
// Fewer than this many times a token's experts of a layer are not worth it.
constexpr std::size_t kLeastWide = 2;

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

SlotBudget SlotsWithin(const PlanReport& plan, std::uint64_t bytes,
                       std::uint64_t base_bytes) {
  const std::uint64_t fixed = FixedBytes(plan);
  const std::uint64_t room = bytes > fixed ? bytes - fixed : 0;
  const std::size_t used = plan.experts_per_token / plan.layers;
  const auto whole =
      std::clamp<std::size_t>(room / plan.slot_bytes, used, plan.slots);
  if (base_bytes == 0 || whole == plan.slots || whole <= kLeastWide * used) {
    return {.slots = whole, .wide = whole};
  }
  const std::size_t slots =
      std::min(plan.slots, whole + (room / base_bytes - whole) / kStepToBases);
  const std::size_t wide =
      (room - slots * base_bytes) / (plan.slot_bytes - base_bytes);
  if (wide < kLeastWide * used) return {.slots = whole, .wide = whole};
  return {.slots = slots, .wide = std::min(wide, slots)};
}

std::uint64_t BaseBytes(const storage::ExpertStore& store) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (!store.has_planes() || store.slot_bytes() % page != 0) return 0;
  std::uint64_t most = 0;
  for (std::uint32_t layer = 0; layer < store.layers(); ++layer) {
    const storage::ExpertReads reads = store.Reads(
        {static_cast<std::uint16_t>(layer), 0}, nullptr,
        storage::ReadClass::kDemand, /*tag=*/0, storage::PlaneSet::kBase);
    most = std::max<std::uint64_t>(most, reads.requests[0].length);
  }
  return storage::AlignUp(most, page);
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
