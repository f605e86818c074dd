// TransitionPredictor: what usually follows the experts of the layer before.
//
// Naive Bayes over the experts R that the layer before asked for, with a prior
// that begins as the learned popularity and becomes this sequence's own:
//
//   log score(j) = log((uses(j) + 4 P(j)) / (tokens + 4))
//                  + 0.7 * sum over i in R of lift(i, j)
//
// uses and tokens fade by a sixteenth with each token. 0.7, because the
// experts of R are not independent. EdgeMoE (Yi et al. 2023) has a dictionary
// of the experts of two layers before; with more than one expert per token its
// keys never come twice, so here each expert votes alone.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_TRANSITION_PREDICTOR_H_
#define SLUICE_PREDICTOR_TRANSITION_PREDICTOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "predictor/calibrated_predictor.h"
#include "predictor/score_ranking.h"
#include "predictor/transition_table.h"

namespace sluice {

class TransitionPredictor final : public CalibratedPredictor {
 public:
  explicit TransitionPredictor(TransitionTable table);

  std::string_view name() const override;
  void BeginSequence() override;

 private:
  // Guesses only for the layer after the one that was observed last, and not
  // within a chunk, whose layers are observed token after token.
  void Rank(std::uint16_t layer, std::vector<Candidate>& candidates) override;
  void Learn(std::uint16_t layer,
             std::span<const std::uint16_t> routed) override;

  const TransitionTable table_;
  ScoreRanking ranking_;
  std::vector<float> uses_;    // [layers, experts], fading
  std::vector<float> tokens_;  // [layers], fading
  std::uint16_t last_layer_ = 0;
  std::vector<std::uint16_t> last_;  // what it asked for; empty: do not guess
  bool any_ = false;                 // last_layer_ is of this sequence
  std::vector<float> log_scores_;    // scratch
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_TRANSITION_PREDICTOR_H_
