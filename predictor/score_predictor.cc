#include "predictor/score_predictor.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

#include "predictor/predictor.h"

namespace sluice {
namespace {

// Buckets of a quarter of a natural logarithm, from e^-2 to e^4 times the cut.
constexpr float kPerUnit = 4;
constexpr float kLowest = -2;
constexpr std::size_t kBuckets = 24;

float LogScore(float score) {
  return std::log(std::max(score, std::numeric_limits<float>::min()));
}

std::size_t BucketOf(float log_ratio) {
  const float place = (log_ratio - kLowest) * kPerUnit;
  return static_cast<std::size_t>(
      std::clamp(place, 0.0F, static_cast<float>(kBuckets - 1)));
}

// A logistic curve through one half at the cut; sure where nothing is guessed.
std::vector<float> Prior(std::size_t nearest, std::size_t farthest) {
  std::vector<float> prior;
  for (std::size_t distance = nearest; distance <= farthest; ++distance) {
    for (std::size_t b = 0; b < kBuckets; ++b) {
      const float middle = kLowest + (static_cast<float>(b) + 0.5F) / kPerUnit;
      prior.push_back(distance == 0 ? 1.0F
                                    : 1.0F / (1.0F + std::exp(-2 * middle)));
    }
  }
  return prior;
}

}  // namespace

ScorePredictor::ScorePredictor(const RouterShape& shape, std::size_t nearest,
                               std::size_t farthest)
    : CalibratedPredictor(shape, Prior(nearest, farthest)),
      nearest_(nearest),
      farthest_(farthest),
      ranked_(shape.layers),
      order_(shape.experts) {}

std::string_view ScorePredictor::name() const {
  return PredictorName(nearest_ == 0 ? PredictorKind::kExact
                                     : PredictorKind::kNextLayer);
}

void ScorePredictor::BeginSequence() {
  for (auto& ranked : ranked_) ranked.clear();
}

std::size_t ScorePredictor::guesses() const {
  return nearest_ == 0 ? shape().experts_used : shape().guesses();
}

void ScorePredictor::ObserveScores(std::uint16_t layer, std::size_t distance,
                                   std::span<const float> scores) {
  assert(WantsScores(distance) && scores.size() == shape().experts);
  const std::size_t used = shape().experts_used;
  const std::size_t ranks =
      std::min(std::max(guesses(), used + 1), scores.size());
  std::iota(order_.begin(), order_.end(), std::uint16_t{0});
  std::partial_sort(
      order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(ranks),
      order_.end(), [&](std::uint16_t a, std::uint16_t b) {
        return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
      });
  const std::size_t below = std::min(used, ranks - 1);
  const float cut =
      (LogScore(scores[order_[used - 1]]) + LogScore(scores[order_[below]])) /
      2;
  const std::size_t first = (distance - nearest_) * kBuckets;
  auto& ranked = ranked_[layer];
  ranked.clear();
  for (std::size_t r = 0; r < guesses(); ++r) {
    const std::size_t bucket = BucketOf(LogScore(scores[order_[r]]) - cut);
    ranked.push_back({order_[r], static_cast<std::uint16_t>(first + bucket)});
  }
}

void ScorePredictor::Rank(std::uint16_t layer,
                          std::vector<Candidate>& candidates) {
  candidates.insert(candidates.end(), ranked_[layer].begin(),
                    ranked_[layer].end());
}

void ScorePredictor::Learn(std::uint16_t layer,
                           std::span<const std::uint16_t> /*routed*/) {
  ranked_[layer].clear();
}

}  // namespace sluice
