#include "engine/plan_api.h"

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "engine/machine_speeds.h"
#include "engine/memory_limits.h"
#include "engine/memory_plan.h"
#include "engine/model_file.h"
#include "engine/open_predictor.h"
#include "engine/replay_api.h"

namespace sluice {
namespace {

Result<void> CheckShape(const PlanBasis& basis, const std::string& path,
                        const ModelConfig& config) {
  const RoutingTrace& trace = *basis.trace;
  if (trace.shape.layers == config.layers &&
      trace.shape.experts == config.experts &&
      trace.used == config.experts_used) {
    return {};
  }
  return Fail(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: routes {} layers to {} of {} experts and {} has {} "
                  "layers with {} of {}; record a trace of that model",
                  basis.trace_name, trace.shape.layers, trace.used,
                  trace.shape.experts, path, config.layers, config.experts_used,
                  config.experts));
}

// The share of decoded lookups that hit.
Result<double> ReplayedHitRate(const PlanBasis& basis, std::size_t slots,
                               Policy policy) {
  SLUICE_ASSIGN(const ReplayReport replay,
                ReplayTrace(*basis.trace, {.slots = slots, .policy = policy}));
  if (replay.decode.lookups == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: has no decoded tokens; record a trace with "
                            "run or bench",
                            basis.trace_name));
  }
  return static_cast<double>(replay.decode.hits) /
         static_cast<double>(replay.decode.lookups);
}

}  // namespace

Result<PlanReport> PlanModel(const std::string& path,
                             const EngineOptions& options) {
  return PlanModel(path, options, {});
}

Result<PlanReport> PlanModel(const std::string& path,
                             const EngineOptions& options,
                             const PlanBasis& basis) {
  SLUICE_TRY(options.Validate());
  // Counts as a part of the process.
  SLUICE_ASSIGN(const std::optional<TransitionTable> table,
                LoadPredictorTable(options));
  const std::uint64_t process_bytes = CurrentResidentBytes();
  SLUICE_ASSIGN(const ModelFile model,
                ModelFile::Open(path, storage::VerifyReads::kFirst,
                                options.precision, options.precision_map));
  SLUICE_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer,
                Tokenizer::FromGguf(model.gguf));
  SLUICE_ASSIGN(PlanInputs inputs,
                PlanInputsFor(model, *tokenizer, process_bytes, options));
  if (basis.trace != nullptr) {
    SLUICE_TRY(CheckShape(basis, path, model.config));
  }
  PlanReport plan = MakePlan(inputs);
  if (!plan.fits) return plan;
  if (basis.trace != nullptr && plan.streaming) {
    SLUICE_ASSIGN(inputs.hit_rate,
                  ReplayedHitRate(basis, plan.slots, options.policy));
  }
  if (basis.measure) {
    SLUICE_ASSIGN(inputs.speeds, MeasureSpeeds(path, model, plan, options));
  }
  return MakePlan(inputs);
}

}  // namespace sluice
