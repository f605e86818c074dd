#include "predictor/scored_predictor.h"

#include <utility>

namespace sluice {

ScoredPredictor::ScoredPredictor(std::unique_ptr<Predictor> predictor,
                                 const RouterShape& shape)
    : predictor_(std::move(predictor)),
      control_(shape),
      score_(shape),
      control_score_(shape) {}

void ScoredPredictor::BeginSequence() {
  predictor_->BeginSequence();
  control_.BeginSequence();
}

void ScoredPredictor::Observe(std::uint16_t layer,
                              std::span<const std::uint16_t> routed) {
  Step(*predictor_, score_, layer, routed);
  Step(control_, control_score_, layer, routed);
}

void ScoredPredictor::Step(Predictor& predictor, PredictorScore& score,
                           std::uint16_t layer,
                           std::span<const std::uint16_t> routed) {
  predictor.Predict(layer, guesses_);
  score.Count(guesses_, routed);
  predictor.Observe(layer, routed);
}

}  // namespace sluice
