// ScorePredictor: guesses by scores that routers give ahead of time.
//
// Next-layer look-ahead applies the routers of the layers to come to the hidden
// state of this layer, each with its own norm (Eliseev and Mazur 2023; HOBBIT,
// Tang et al. 2024, section 3.3): residual streams change slowly, so most of
// what scores high is asked for. Models that route before attention know a
// layer's router before the layer begins (SmallThinker, Song et al. 2025): a
// distance of 0, and no guess is wrong. A replay, which knows the future, feeds
// the same predictor for the control that is always right.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_SCORE_PREDICTOR_H_
#define SLUICE_PREDICTOR_SCORE_PREDICTOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "predictor/calibrated_predictor.h"
#include "predictor/score_ranking.h"

namespace sluice {

class ScorePredictor final : public CalibratedPredictor {
 public:
  // Takes scores at distances from `nearest` to `farthest`. When `nearest` is
  // 0, the guesses are the experts that the router picks, and no others.
  ScorePredictor(const RouterShape& shape, std::size_t nearest,
                 std::size_t farthest);

  std::string_view name() const override;
  void BeginSequence() override;
  bool WantsScores(std::size_t distance) const override {
    return distance >= nearest_ && distance <= farthest_;
  }
  void ObserveScores(std::uint16_t layer, std::size_t distance,
                     std::span<const float> scores) override;

 private:
  void Rank(std::uint16_t layer, std::vector<Candidate>& candidates) override;
  void Graded(std::uint16_t layer, std::vector<Candidate>& candidates) override;
  void Learn(std::uint16_t layer,
             std::span<const std::uint16_t> routed) override;

  const std::size_t nearest_;
  const std::size_t farthest_;
  ScoreRanking ranking_;
  std::vector<float> log_scores_;  // scratch
  // Until Observe: [layers] by the nearest scores, and by all those before.
  std::vector<std::vector<Candidate>> ranked_;
  std::vector<std::vector<Candidate>> superseded_;
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_SCORE_PREDICTOR_H_
