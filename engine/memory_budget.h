// MemoryBudget: what part of the ceiling that an engine was opened with it may
// use at present.
//
// All that can shrink while a model runs are the expert slots; what the plan
// counts besides them stays. So the least budget has the slots of one token's
// experts of one layer, and a model that was loaded whole cannot shrink at all.
//
// Any thread may ask; the session's thread takes what was asked for last, where
// nothing is being computed.
//
// Thread safety: Request may be called from any thread at any time; Take is the
// session's thread's alone.
#ifndef SLUICE_ENGINE_MEMORY_BUDGET_H_
#define SLUICE_ENGINE_MEMORY_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "engine/sluice.h"
#include "storage/expert_store.h"
#include "storage/result.h"

namespace sluice {

// The least budget of an engine with this plan, bytes.
std::uint64_t LeastBudget(const PlanReport& plan);

// Slots in use, and how many of them may hold a residual plane.
struct SlotBudget {
  std::size_t slots = 0;
  std::size_t wide = 0;

  bool operator==(const SlotBudget&) const = default;
};

// The slots within a budget of `bytes`: as many as planned at most. Where a
// slot can do with `base_bytes` for a base plane (0: none can), high planes go
// before experts do (D2MoE, Wang et al. 2025), but not all of them:
// a quarter of the way from whole slots to bases alone. What is needed whole
// and was demoted is read again (bench/LEARNED.md).
// REQUIRES: plan.streaming; bytes >= LeastBudget(plan).
SlotBudget SlotsWithin(const PlanReport& plan, std::uint64_t bytes,
                       std::uint64_t base_bytes);

// What a base plane takes of a slot, bytes; 0 where none is read alone, or a
// slot is not whole pages of the system.
// REQUIRES: no precision map.
std::uint64_t BaseBytes(const storage::ExpertStore& store);

class MemoryBudget {
 public:
  // `plan` must outlive it; `path` names the model in messages.
  MemoryBudget(const PlanReport& plan, std::string path)
      : plan_(plan), path_(std::move(path)) {}

  // Returns: kNoMemory (below LeastBudget), kInvalidArgument (above the
  // ceiling); what was asked for before then stands.
  Result<void> Request(std::uint64_t bytes);
  // Whether Take would give something.
  bool pending() const { return wanted_ != 0; }
  // The budget asked for last, in bytes, once.
  std::optional<std::uint64_t> Take();

 private:
  const PlanReport& plan_;
  const std::string path_;
  std::atomic<std::uint64_t> wanted_ = 0;  // 0: nothing asked for
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_MEMORY_BUDGET_H_
