#include "engine/open_predictor.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

#include "engine/expert_source.h"
#include "engine/predictor_file.h"
#include "predictor/predictor.h"

namespace sluice {
namespace {

constexpr PredictorKind kDefault = PredictorKind::kNextLayer;
// Not "exact": where a router is known before attention, its experts are
// demanded before attention, and there is nothing to guess.
constexpr std::array kLive = {
    PredictorKind::kNone, PredictorKind::kNextLayer, PredictorKind::kPrevious,
    PredictorKind::kFrequency, PredictorKind::kTransition};

std::optional<PredictorKind> KindOf(const EngineOptions& options) {
  if (options.predictor.empty()) return kDefault;
  for (const PredictorKind kind : kLive) {
    if (options.predictor == PredictorName(kind)) return kind;
  }
  return std::nullopt;
}

}  // namespace

Result<void> ValidatePredictor(const EngineOptions& options) {
  const std::optional<PredictorKind> kind = KindOf(options);
  if (!kind) {
    std::array<std::string_view, kLive.size()> names;
    for (std::size_t i = 0; i < names.size(); ++i) {
      names[i] = PredictorName(kLive[i]);
    }
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("no predictor is called '{}'; choose one of {}",
                            options.predictor, fmt::join(names, ", ")));
  }
  const bool table = *kind == PredictorKind::kTransition;
  if (table && options.predictor_file.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "the predictor transition needs a file; make one with 'sluice "
                "train-predictor' and give transition:FILE");
  }
  if (!table && !options.predictor_file.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("the predictor {} takes no file; leave out '{}'",
                            PredictorName(*kind), options.predictor_file));
  }
  return {};
}

bool GuessesNextLayer(const EngineOptions& options) {
  return KindOf(options) == PredictorKind::kNextLayer;
}

Result<std::optional<TransitionTable>> LoadPredictorTable(
    const EngineOptions& options) {
  if (options.predictor_file.empty()) return std::optional<TransitionTable>();
  SLUICE_ASSIGN(TransitionTable table,
                ReadPredictorFile(options.predictor_file));
  return std::optional(std::move(table));
}

Result<std::unique_ptr<ScoredPredictor>> OpenPredictor(
    const EngineOptions& options, std::optional<TransitionTable> table,
    const RouterShape& shape) {
  if (table) SLUICE_TRY(CheckTable(*table, shape, options.predictor_file));
  auto predictor = MakePredictor(
      KindOf(options).value_or(kDefault), shape,
      {.lookahead = kFarthestLookAhead, .table = std::move(table)});
  if (predictor == nullptr) return std::unique_ptr<ScoredPredictor>();
  return std::make_unique<ScoredPredictor>(std::move(predictor), shape);
}

}  // namespace sluice
