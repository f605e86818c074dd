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

#include "engine/sluice.h"
#include "storage/result.h"

namespace sluice {

// The least budget of an engine with this plan, bytes.
std::uint64_t LeastBudget(const PlanReport& plan);

// The slots within a budget of `bytes`: as many as planned at most.
// REQUIRES: plan.streaming; bytes >= LeastBudget(plan).
std::size_t SlotsWithin(const PlanReport& plan, std::uint64_t bytes);

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
