#include "predictor/score_ranking.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace sluice {
namespace {

// Buckets of a quarter, from e^-2 to e^4 times the cut.
constexpr float kPerUnit = 4;
constexpr float kLowest = -2;

std::size_t BucketOf(float log_ratio) {
  const float place = (log_ratio - kLowest) * kPerUnit;
  return static_cast<std::size_t>(
      std::clamp(place, 0.0F, static_cast<float>(ScoreRanking::kBuckets - 1)));
}

}  // namespace

ScoreRanking::ScoreRanking(const RouterShape& shape)
    : shape_(shape), order_(shape.experts) {
  assert(shape.experts_used > 0 && shape.experts_used <= shape.experts);
}

std::vector<float> ScoreRanking::Prior() {
  std::vector<float> prior;
  for (std::size_t b = 0; b < kBuckets; ++b) {
    const float middle = kLowest + (static_cast<float>(b) + 0.5F) / kPerUnit;
    prior.push_back(1.0F / (1.0F + std::exp(-2 * middle)));
  }
  return prior;
}

void ScoreRanking::Rank(std::span<const float> log_scores, std::size_t count,
                        std::size_t first_bucket,
                        std::vector<Candidate>& candidates) {
  assert(log_scores.size() == shape_.experts);
  const std::size_t used = shape_.experts_used;
  const std::size_t ranks =
      std::min(std::max(count, used + 1), log_scores.size());
  std::iota(order_.begin(), order_.end(), std::uint16_t{0});
  std::partial_sort(
      order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(ranks),
      order_.end(), [&](std::uint16_t a, std::uint16_t b) {
        return log_scores[a] != log_scores[b] ? log_scores[a] > log_scores[b]
                                              : a < b;
      });
  const std::size_t below = std::min(used, ranks - 1);
  const float cut =
      (log_scores[order_[used - 1]] + log_scores[order_[below]]) / 2;
  for (std::size_t r = 0; r < std::min(count, ranks); ++r) {
    const std::size_t bucket =
        first_bucket + BucketOf(log_scores[order_[r]] - cut);
    candidates.push_back({order_[r], static_cast<std::uint16_t>(bucket)});
  }
}

}  // namespace sluice
