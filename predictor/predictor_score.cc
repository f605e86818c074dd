#include "predictor/predictor_score.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace sluice {
namespace {

double Share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0
                    : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

PredictorScore::PredictorScore(const RouterShape& shape)
    : shape_(shape),
      at_rank_(shape.guesses()),
      right_at_(shape.guesses()),
      routed_(shape.experts) {}

void PredictorScore::Count(std::span<const Guess> guesses,
                           std::span<const std::uint16_t> routed) {
  assert(guesses.size() <= at_rank_.size());
  ++spoken_;
  if (guesses.empty()) return;
  ++guessed_;
  wanted_ += routed.size();
  for (const std::uint16_t expert : routed) routed_[expert] = true;
  for (std::size_t rank = 0; rank < guesses.size(); ++rank) {
    const Guess& guess = guesses[rank];
    const std::uint64_t right = routed_[guess.expert] ? 1 : 0;
    ++at_rank_[rank];
    right_at_[rank] += right;
    const auto tenth =
        static_cast<std::size_t>(guess.confidence * static_cast<float>(kBins));
    Bin& bin = bins_[std::min(tenth, kBins - 1)];
    ++bin.guesses;
    bin.right += right;
    bin.confidence += guess.confidence;
  }
  for (const std::uint16_t expert : routed) routed_[expert] = false;
}

double PredictorScore::coverage() const { return Share(guessed_, spoken_); }

double PredictorScore::RecallAt(std::size_t k) const {
  const std::size_t ranks = std::min(k, right_at_.size());
  return Share(
      std::accumulate(right_at_.begin(),
                      right_at_.begin() + static_cast<std::ptrdiff_t>(ranks),
                      std::uint64_t{0}),
      wanted_);
}

double PredictorScore::PrecisionAt(std::size_t rank) const {
  return rank < right_at_.size() ? Share(right_at_[rank], at_rank_[rank]) : 0;
}

double PredictorScore::CalibrationError() const {
  double error = 0;
  std::uint64_t guesses = 0;
  for (const Bin& bin : bins_) {
    guesses += bin.guesses;
    error += std::abs(bin.confidence - static_cast<double>(bin.right));
  }
  return guesses == 0 ? 0 : error / static_cast<double>(guesses);
}

}  // namespace sluice
