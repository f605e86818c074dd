// ScoreRanking: candidates from a score for each expert.
//
// What says most about a guess is how far its score is above or below the place
// where the router cuts. Buckets are ranges of the ratio of the score to the
// geometric mean of the scores of ranks k and k + 1, k being the number of
// experts that a token uses.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_SCORE_RANKING_H_
#define SLUICE_PREDICTOR_SCORE_RANKING_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "predictor/calibrated_predictor.h"

namespace sluice {

class ScoreRanking {
 public:
  static constexpr std::size_t kBuckets = 24;

  // REQUIRES: shape.experts_used is not zero.
  explicit ScoreRanking(const RouterShape& shape);

  // The prior of kBuckets buckets: a logistic curve, one half at the cut.
  static std::vector<float> Prior();

  // Appends the `count` experts with the highest scores, the lower of equals
  // first. `log_scores` are natural logarithms, [experts]; `first_bucket` is
  // added to the buckets.
  void Rank(std::span<const float> log_scores, std::size_t count,
            std::size_t first_bucket, std::vector<Candidate>& candidates);

 private:
  const RouterShape shape_;
  std::vector<std::uint16_t> order_;  // scratch
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_SCORE_RANKING_H_
