// PreviousPredictor and FrequencyPredictor: guesses by what this sequence has
// asked for so far.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_HISTORY_PREDICTOR_H_
#define SLUICE_PREDICTOR_HISTORY_PREDICTOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "predictor/calibrated_predictor.h"

namespace sluice {

// What the token before asked for in the same layer, in its rank order.
class PreviousPredictor final : public CalibratedPredictor {
 public:
  explicit PreviousPredictor(const RouterShape& shape);

  std::string_view name() const override;
  void BeginSequence() override;

 private:
  void Rank(std::uint16_t layer, std::vector<Candidate>& candidates) override;
  void Learn(std::uint16_t layer,
             std::span<const std::uint16_t> routed) override;

  std::vector<std::vector<std::uint16_t>> previous_;  // [layers]
};

// What this sequence asks for often: uses per expert, which fade by a sixteenth
// with each token (the count that the cache's LFRU policy keeps). The control
// for all other predictors: what they add to popularity.
class FrequencyPredictor final : public CalibratedPredictor {
 public:
  explicit FrequencyPredictor(const RouterShape& shape);

  std::string_view name() const override;
  void BeginSequence() override;

 private:
  void Rank(std::uint16_t layer, std::vector<Candidate>& candidates) override;
  void Learn(std::uint16_t layer,
             std::span<const std::uint16_t> routed) override;

  std::vector<float> uses_;           // [layers, experts], fading
  std::vector<float> tokens_;         // [layers], fading
  std::vector<std::uint16_t> order_;  // scratch
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_HISTORY_PREDICTOR_H_
