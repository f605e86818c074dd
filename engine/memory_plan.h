// MemoryPlan: how a memory ceiling is divided, decided before anything is
// loaded, and how fast the model should then run (engine/speed_model.h). Pure
// arithmetic; nothing is allocated or measured here.
//
// Everything the process uses is in the ceiling:
//
//   process    program and libraries as resident at the start, plus a margin
//              for code touched later, heap, thread stacks, and what the kernel
//              charges for page tables and rings
//   tokenizer  vocabulary and merges
//   dense      every weight that is not an expert
//   kv         keys and values of the whole context
//   scratch    activations of one standing chunk
//   experts    all of them (resident mode), or slots (streaming)
//
// Thread safety: pure functions.
#ifndef SLUICE_ENGINE_MEMORY_PLAN_H_
#define SLUICE_ENGINE_MEMORY_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cache/eviction_policy.h"
#include "engine/model_config.h"
#include "engine/sluice.h"

namespace sluice {

struct PlanInputs {
  const ModelConfig* config = nullptr;
  std::uint64_t memory_bytes = 0;
  std::uint64_t process_bytes = 0;  // resident before the model was opened
  std::uint64_t tokenizer_bytes = 0;
  std::uint64_t dense_bytes = 0;
  std::uint64_t resident_expert_bytes = 0;  // all experts, as loaded whole
  std::uint64_t slot_bytes = 0;
  std::uint64_t read_bytes_per_expert = 0;
  std::uint64_t bytes_per_expert = 0;    // of weights
  std::uint64_t dense_decode_bytes = 0;  // of dense_bytes, what a token touches
  std::size_t context = 0;               // wanted; 0: as much as is sensible
  std::size_t prefill_chunk = 0;         // wanted; 0: as much as is sensible
  KvFormat kv_format = KvFormat::kF16;
  bool force_streaming = false;
  Policy policy = Policy::kAuto;
  bool guesses = false;  // the next layer's router guesses experts
  MachineSpeeds speeds = {};
  std::optional<double> hit_rate = {};  // of a replay; none: ExpectedHitRate
};

// `fits` is false below the floor; the other figures are then those of the
// floor.
PlanReport MakePlan(const PlanInputs& inputs);

// The policy that `policy` stands for; kAuto is kLearned.
cache::PolicyKind PolicyKindOf(Policy policy);

}  // namespace sluice

#endif  // SLUICE_ENGINE_MEMORY_PLAN_H_
