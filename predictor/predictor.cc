#include "predictor/predictor.h"

#include <algorithm>
#include <array>

#include "predictor/history_predictor.h"
#include "predictor/score_predictor.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 5> kNames = {
    "none", "exact", "next-layer", "previous", "frequency"};

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
                                         const PredictorOptions& options) {
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
  }
  return nullptr;
}

}  // namespace sluice
