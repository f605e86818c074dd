#include "predictor/transition_predictor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "predictor/predictor.h"

namespace sluice {
namespace {

constexpr float kFade = 1.0F / 16;
constexpr float kLearnedWeight = 4;  // tokens
constexpr float kLiftWeight = 0.7F;

}  // namespace

TransitionPredictor::TransitionPredictor(TransitionTable table)
    : CalibratedPredictor(table.shape(), ScoreRanking::Prior()),
      table_(std::move(table)),
      ranking_(shape()),
      uses_(shape().layers * shape().experts),
      tokens_(shape().layers),
      log_scores_(shape().experts) {}

std::string_view TransitionPredictor::name() const {
  return PredictorName(PredictorKind::kTransition);
}

void TransitionPredictor::BeginSequence() {
  std::fill(uses_.begin(), uses_.end(), 0.0F);
  std::fill(tokens_.begin(), tokens_.end(), 0.0F);
  any_ = false;
  last_.clear();
}

void TransitionPredictor::Rank(std::uint16_t layer,
                               std::vector<Candidate>& candidates) {
  if (last_.empty() || (last_layer_ + 1U) % shape().layers != layer) return;
  const std::span<const float> popularity = table_.Popularity(layer);
  const float* uses = &uses_[layer * shape().experts];
  const float tokens = tokens_[layer] + kLearnedWeight;
  for (std::size_t e = 0; e < shape().experts; ++e) {
    log_scores_[e] =
        std::log((uses[e] + kLearnedWeight * popularity[e]) / tokens);
  }
  constexpr float kStep = kLiftWeight / TransitionTable::kStepsPerUnit;
  for (const std::uint16_t from : last_) {
    const std::span<const std::int8_t> lift = table_.Lift(last_layer_, from);
    for (std::size_t e = 0; e < shape().experts; ++e) {
      log_scores_[e] += kStep * static_cast<float>(lift[e]);
    }
  }
  ranking_.Rank(log_scores_, shape().guesses(), 0, candidates);
}

void TransitionPredictor::Learn(std::uint16_t layer,
                                std::span<const std::uint16_t> routed) {
  float* uses = &uses_[layer * shape().experts];
  for (std::size_t e = 0; e < shape().experts; ++e) uses[e] -= uses[e] * kFade;
  for (const std::uint16_t expert : routed) uses[expert] += 1;
  tokens_[layer] += 1 - tokens_[layer] * kFade;
  if (any_ && last_layer_ == layer && shape().layers > 1) {
    last_.clear();  // a chunk
  } else {
    last_.assign(routed.begin(), routed.end());
  }
  last_layer_ = layer;
  any_ = true;
}

}  // namespace sluice
