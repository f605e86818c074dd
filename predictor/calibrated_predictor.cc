#include "predictor/calibrated_predictor.h"

#include <cassert>
#include <utility>

namespace sluice {
namespace {

// Replaces confidences that rise by averages, so that they fall as the rank
// does: the nearest such sequence (isotonic regression by pooling adjacent
// violators; Ayer et al. 1955). A bucket that was seen twice knows less than
// the ranking.
void MakeFalling(std::vector<Guess>& guesses) {
  std::size_t pooled = 0;  // guesses before this fall already
  while (pooled < guesses.size()) {
    float sum = guesses[pooled].confidence;
    std::size_t begin = pooled;
    while (begin > 0 && guesses[begin - 1].confidence *
                                static_cast<float>(pooled + 1 - begin) <
                            sum) {
      --begin;
      sum += guesses[begin].confidence;
    }
    ++pooled;
    const float mean = sum / static_cast<float>(pooled - begin);
    for (std::size_t i = begin; i < pooled; ++i) guesses[i].confidence = mean;
  }
}

}  // namespace

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
  Graded(layer, candidates_);
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
  MakeFalling(guesses);
}

}  // namespace sluice
