#include "engine/memory_plan.h"

#include <algorithm>
#include <utility>

#include "engine/kv_cache.h"
#include "engine/prompt_room.h"
#include "engine/speed_model.h"
#include "engine/weights.h"
#include "engine/workspace.h"

namespace sluice {
namespace {

// Code pages touched after the start, heap, stacks of the threads.
constexpr std::uint64_t kProcessMargin = 4 << 20;
// Page tables take 8 bytes per 4 KiB page, 1/512; the rest is slack for what
// the kernel charges per page and per request.
constexpr std::uint64_t kKernelShare = 256;

constexpr std::size_t kDefaultContext = 4096;
constexpr std::size_t kLeastContext = 256;
constexpr std::size_t kDefaultChunk = 512;
constexpr std::size_t kStandingChunk = 16;  // when streaming
// When streaming, the context and the chunk take at most these shares of the
// ceiling, unless the caller sets them: what they take the experts lose.
constexpr std::uint64_t kKvShare = 8;
constexpr std::uint64_t kScratchShare = 16;

class Planner {
 public:
  explicit Planner(const PlanInputs& inputs)
      : in_(inputs), config_(*inputs.config) {}

  PlanReport Make() {
    plan_.memory_bytes = in_.memory_bytes;
    plan_.tokenizer_bytes = in_.tokenizer_bytes;
    plan_.dense_bytes = in_.dense_bytes;
    plan_.layers = config_.layers;
    plan_.experts_total = std::size_t{config_.layers} * config_.experts;
    plan_.experts_per_token =
        std::size_t{config_.layers} * config_.experts_used;
    plan_.slot_bytes = in_.slot_bytes;
    plan_.kv_format = in_.kv_format;
    plan_.policy = cache::PolicyName(PolicyKindOf(in_.policy));

    plan_.streaming = true;
    Set(LeastContext(), LeastChunk());
    plan_.floor_bytes = CeilingFor(config_.experts_used * in_.slot_bytes);
    plan_.streaming = false;
    Set(DefaultContext(), DefaultChunk());
    plan_.resident_mode_bytes = CeilingFor(in_.resident_expert_bytes);

    plan_.fits = in_.memory_bytes >= plan_.floor_bytes;
    if (in_.memory_bytes >= plan_.resident_mode_bytes && !in_.force_streaming) {
      plan_.expert_bytes = in_.resident_expert_bytes;
    } else {
      PlanStreaming();
    }
    Expect();
    return std::move(plan_);
  }

 private:
  std::size_t LeastContext() const {
    return in_.context != 0
               ? in_.context
               : std::min<std::size_t>(kLeastContext, config_.context);
  }
  std::size_t LeastChunk() const {
    return in_.prefill_chunk != 0 ? in_.prefill_chunk : 1;
  }
  std::size_t DefaultContext() const {
    return in_.context != 0
               ? in_.context
               : std::min<std::size_t>(kDefaultContext, config_.context);
  }
  std::size_t DefaultChunk() const {
    return in_.prefill_chunk != 0 ? in_.prefill_chunk : kDefaultChunk;
  }

  void Set(std::size_t context, std::size_t chunk) {
    plan_.context = context;
    plan_.prefill_chunk = std::min(chunk, context);
    plan_.standing_chunk = plan_.prefill_chunk;
    plan_.kv_bytes = KvBytes(plan_.context);
    plan_.scratch_bytes = Workspace::Bytes(config_, plan_.standing_chunk);
    if (plan_.streaming) {
      plan_.scratch_bytes += Weights::GuessRoutersBytes(config_);
    }
  }

  std::uint64_t KvBytes(std::size_t context) const {
    return KvCache::Bytes(config_,
                          {.context = context, .format = in_.kv_format});
  }

  // The ceiling that holds the current settings and `expert_bytes`.
  std::uint64_t CeilingFor(std::uint64_t expert_bytes) const {
    const std::uint64_t used =
        in_.process_bytes + kProcessMargin + in_.tokenizer_bytes +
        in_.dense_bytes + plan_.kv_bytes + plan_.scratch_bytes + expert_bytes;
    return used + used / (kKernelShare - 1) + 1;
  }

  void PlanStreaming() {
    plan_.streaming = true;
    const std::uint64_t memory = std::max(in_.memory_bytes, plan_.floor_bytes);
    Set(SensibleContext(memory), LeastChunk());
    Set(plan_.context, SensibleChunk(memory));
    if (CeilingFor(config_.experts_used * in_.slot_bytes) > memory) {
      Set(plan_.context, LeastChunk());
    }
    if (CeilingFor(config_.experts_used * in_.slot_bytes) > memory) {
      Set(LeastContext(), LeastChunk());
    }
    const std::uint64_t kernel = memory / kKernelShare;
    const std::uint64_t fixed = CeilingFor(0) - CeilingFor(0) / kKernelShare;
    const std::uint64_t room =
        memory - kernel > fixed ? memory - kernel - fixed : 0;
    plan_.slots = std::clamp<std::size_t>(
        room / in_.slot_bytes, config_.experts_used, plan_.experts_total);
    plan_.expert_bytes = plan_.slots * in_.slot_bytes;
    if (in_.prefill_chunk != 0) return;
    plan_.prefill_chunk = RoomForPrompt(config_,
                                        {.standing_chunk = plan_.standing_chunk,
                                         .slots = plan_.slots,
                                         .slot_bytes = in_.slot_bytes},
                                        plan_.context)
                              .chunk;
  }

  std::size_t SensibleContext(std::uint64_t memory) const {
    std::size_t context = DefaultContext();
    while (in_.context == 0 && context > LeastContext() &&
           KvBytes(context) > memory / kKvShare) {
      context = std::max(context / 2, LeastContext());
    }
    return context;
  }

  std::size_t SensibleChunk(std::uint64_t memory) const {
    std::size_t chunk =
        in_.prefill_chunk != 0 ? in_.prefill_chunk : kStandingChunk;
    while (in_.prefill_chunk == 0 && chunk > 1 &&
           Workspace::Bytes(config_, chunk) > memory / kScratchShare) {
      chunk /= 2;
    }
    return chunk;
  }

  void Expect() {
    plan_.process_bytes =
        in_.process_bytes + kProcessMargin + in_.memory_bytes / kKernelShare;
    plan_.below_working_set =
        plan_.streaming && plan_.slots < plan_.experts_per_token;
    const TokenWork work = Work();
    const TokenTime time = PredictToken(work, in_.speeds);
    plan_.decode_bytes = work.touched_bytes();
    plan_.expected_hit_rate = work.hit_rate;
    plan_.hit_rate_from_trace = plan_.streaming && in_.hit_rate.has_value();
    plan_.expected_bytes_per_token = static_cast<std::uint64_t>(
        static_cast<double>(work.routed() * work.read_bytes) *
        (1 - work.hit_rate));
    plan_.speeds = in_.speeds;
    plan_.expected_compute_seconds_per_token = time.compute_seconds;
    plan_.expected_stall_seconds_per_token = time.stall_seconds;
    plan_.expected_tokens_per_second = 1 / time.total();
  }

  TokenWork Work() const {
    TokenWork work = {.layers = config_.layers,
                      .experts_used = config_.experts_used,
                      .dense_bytes = in_.dense_decode_bytes,
                      .expert_bytes = in_.bytes_per_expert,
                      .read_bytes = in_.read_bytes_per_expert,
                      .guesses = in_.guesses};
    if (!plan_.streaming) return work;
    const double used =
        static_cast<double>(config_.experts_used) / config_.experts;
    const double share = static_cast<double>(plan_.slots) /
                         static_cast<double>(plan_.experts_total);
    work.hit_rate = in_.hit_rate.value_or(
        ExpectedHitRate(share, used, PolicyKindOf(in_.policy)));
    return work;
  }

  const PlanInputs& in_;
  const ModelConfig& config_;
  PlanReport plan_;
};

}  // namespace

PlanReport MakePlan(const PlanInputs& inputs) { return Planner(inputs).Make(); }

cache::PolicyKind PolicyKindOf(Policy policy) {
  switch (policy) {
    case Policy::kLru:
      return cache::PolicyKind::kLru;
    case Policy::kLfu:
      return cache::PolicyKind::kLfu;
    case Policy::kLfru:
      return cache::PolicyKind::kLfru;
    case Policy::kHobbit:
      return cache::PolicyKind::kHobbit;
    case Policy::kHobbitPrecision:
      return cache::PolicyKind::kHobbitPrecision;
    case Policy::kAuto:
    case Policy::kLearned:
      break;
  }
  return cache::PolicyKind::kLearned;
}

}  // namespace sluice
