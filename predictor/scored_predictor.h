// ScoredPredictor: a predictor whose guesses are scored as it runs, beside
// those of a control that knows how popular each expert is and nothing else.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_SCORED_PREDICTOR_H_
#define SLUICE_PREDICTOR_SCORED_PREDICTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "predictor/history_predictor.h"
#include "predictor/predictor.h"
#include "predictor/predictor_score.h"

namespace sluice {

class ScoredPredictor final : public Predictor {
 public:
  // `predictor` is not null and of that shape.
  ScoredPredictor(std::unique_ptr<Predictor> predictor,
                  const RouterShape& shape);

  std::string_view name() const override { return predictor_->name(); }
  void BeginSequence() override;
  bool WantsScores(std::size_t distance) const override {
    return predictor_->WantsScores(distance);
  }
  void ObserveScores(std::uint16_t layer, std::size_t distance,
                     std::span<const float> scores) override {
    predictor_->ObserveScores(layer, distance, scores);
  }
  // Scores what Predict would give now, whether it was asked or not.
  void Observe(std::uint16_t layer,
               std::span<const std::uint16_t> routed) override;
  void Predict(std::uint16_t layer, std::vector<Guess>& guesses) override {
    predictor_->Predict(layer, guesses);
  }

  const PredictorScore& score() const { return score_; }
  // The control's, a FrequencyPredictor, whenever the predictor had guesses.
  const PredictorScore& control() const { return control_score_; }

 private:
  const std::unique_ptr<Predictor> predictor_;
  FrequencyPredictor control_;
  PredictorScore score_;
  PredictorScore control_score_;
  std::vector<Guess> guesses_;  // scratch
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_SCORED_PREDICTOR_H_
