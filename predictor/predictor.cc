#include "predictor/predictor.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "predictor/history_predictor.h"
#include "predictor/score_predictor.h"
#include "predictor/transition_predictor.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 6> kNames = {
    "none", "exact", "next-layer", "previous", "frequency", "transition"};

}  // namespace

std::span<const std::string_view> PredictorNames() { return kNames; }

std::string_view PredictorName(PredictorKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

std::optional<PredictorKind> ParsePredictor(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<PredictorKind>(found - kNames.begin());
}

std::unique_ptr<Predictor> MakePredictor(PredictorKind kind,
                                         const RouterShape& shape,
                                         PredictorOptions options) {
  switch (kind) {
    case PredictorKind::kNone:
      break;
    case PredictorKind::kExact:
      return std::make_unique<ScorePredictor>(shape, 0, 0);
    case PredictorKind::kNextLayer:
      return std::make_unique<ScorePredictor>(shape, 1, options.lookahead);
    case PredictorKind::kPrevious:
      return std::make_unique<PreviousPredictor>(shape);
    case PredictorKind::kFrequency:
      return std::make_unique<FrequencyPredictor>(shape);
    case PredictorKind::kTransition:
      assert(options.table && options.table->shape() == shape);
      return std::make_unique<TransitionPredictor>(std::move(*options.table));
  }
  return nullptr;
}

}  // namespace sluice
