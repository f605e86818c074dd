#include "predictor/calibrated_predictor.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice {

CalibratedPredictor::CalibratedPredictor(const RouterShape& shape,
                                         std::vector<float> prior)
    : shape_(shape),
      calibration_(shape.layers, std::move(prior)),
      routed_(shape.experts) {
  candidates_.reserve(shape.guesses());
}

void CalibratedPredictor::Observe(std::uint16_t layer,
                                  std::span<const std::uint16_t> routed) {
  assert(layer < shape_.layers);
  candidates_.clear();
  Rank(layer, candidates_);
  for (const std::uint16_t expert : routed) routed_[expert] = true;
  for (const Candidate& candidate : candidates_) {
    calibration_.Add(layer, candidate.bucket, routed_[candidate.expert]);
  }
  for (const std::uint16_t expert : routed) routed_[expert] = false;
  Learn(layer, routed);
}

void CalibratedPredictor::Predict(std::uint16_t layer,
                                  std::vector<Guess>& guesses) {
  assert(layer < shape_.layers);
  candidates_.clear();
  Rank(layer, candidates_);
  guesses.clear();
  for (const Candidate& candidate : candidates_) {
    guesses.push_back(
        {candidate.expert, calibration_.Probability(layer, candidate.bucket)});
  }
  std::stable_sort(guesses.begin(), guesses.end(),
                   [](const Guess& a, const Guess& b) {
                     return a.confidence > b.confidence;
                   });
}

}  // namespace sluice
