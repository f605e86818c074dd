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
  predictor_->Predict(layer, guesses_);
  score_.Count(guesses_, routed);
  if (!guesses_.empty()) {
    control_.Predict(layer, guesses_);
    control_score_.Count(guesses_, routed);
  }
  predictor_->Observe(layer, routed);
  control_.Observe(layer, routed);
}

}  // namespace sluice
