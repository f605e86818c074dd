#include "predictor/score_predictor.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "predictor/predictor.h"

namespace sluice {
namespace {

// Buckets for each distance; a router that is known is right.
std::vector<float> Prior(std::size_t nearest, std::size_t farthest) {
  std::vector<float> prior;
  for (std::size_t distance = nearest; distance <= farthest; ++distance) {
    const std::vector<float> buckets =
        distance == 0 ? std::vector<float>(ScoreRanking::kBuckets, 1.0F)
                      : ScoreRanking::Prior();
    prior.insert(prior.end(), buckets.begin(), buckets.end());
  }
  return prior;
}

}  // namespace

ScorePredictor::ScorePredictor(const RouterShape& shape, std::size_t nearest,
                               std::size_t farthest)
    : CalibratedPredictor(shape, Prior(nearest, farthest)),
      nearest_(nearest),
      farthest_(farthest),
      ranking_(shape),
      log_scores_(shape.experts),
      ranked_(shape.layers),
      superseded_(shape.layers) {}

std::string_view ScorePredictor::name() const {
  return PredictorName(nearest_ == 0 ? PredictorKind::kExact
                                     : PredictorKind::kNextLayer);
}

void ScorePredictor::BeginSequence() {
  for (auto& ranked : ranked_) ranked.clear();
  for (auto& ranked : superseded_) ranked.clear();
}

void ScorePredictor::ObserveScores(std::uint16_t layer, std::size_t distance,
                                   std::span<const float> scores) {
  assert(WantsScores(distance) && scores.size() == shape().experts);
  std::transform(
      scores.begin(), scores.end(), log_scores_.begin(), [](float score) {
        return std::log(std::max(score, std::numeric_limits<float>::min()));
      });
  auto& ranked = ranked_[layer];
  superseded_[layer].insert(superseded_[layer].end(), ranked.begin(),
                            ranked.end());
  ranked.clear();
  ranking_.Rank(log_scores_,
                nearest_ == 0 ? shape().experts_used : shape().guesses(),
                (distance - nearest_) * ScoreRanking::kBuckets, ranked);
}

void ScorePredictor::Rank(std::uint16_t layer,
                          std::vector<Candidate>& candidates) {
  candidates.insert(candidates.end(), ranked_[layer].begin(),
                    ranked_[layer].end());
}

void ScorePredictor::Graded(std::uint16_t layer,
                            std::vector<Candidate>& candidates) {
  Rank(layer, candidates);
  candidates.insert(candidates.end(), superseded_[layer].begin(),
                    superseded_[layer].end());
}

void ScorePredictor::Learn(std::uint16_t layer,
                           std::span<const std::uint16_t> /*routed*/) {
  ranked_[layer].clear();
  superseded_[layer].clear();
}

}  // namespace sluice
