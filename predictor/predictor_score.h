// PredictorScore: how good the guesses of a predictor were.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_PREDICTOR_SCORE_H_
#define SLUICE_PREDICTOR_PREDICTOR_SCORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "predictor/predictor.h"

namespace sluice {

class PredictorScore {
 public:
  explicit PredictorScore(const RouterShape& shape);

  // A predictor's `guesses`, most confident first, for a token of whom the
  // router asked for `routed`. A predictor without guesses abstains; that
  // counts in coverage() alone.
  void Count(std::span<const Guess> guesses,
             std::span<const std::uint16_t> routed);

  // Of the times that the router spoke, those with guesses. 0 to 1, as all
  // shares; 0 when there is nothing to share.
  double coverage() const;
  // Of what the router asked for, the share among the `k` first guesses.
  double RecallAt(std::size_t k) const;
  // Of the guesses of `rank`, from 0, the share that was asked for.
  double PrecisionAt(std::size_t rank) const;
  // The mean distance of confidence from what came true, over guesses sorted
  // into tenths by confidence (expected calibration error; Guo et al. 2017).
  double CalibrationError() const;

  const RouterShape& shape() const { return shape_; }

 private:
  static constexpr std::size_t kBins = 10;
  struct Bin {
    std::uint64_t guesses = 0;
    std::uint64_t right = 0;
    double confidence = 0;  // sum
  };

  RouterShape shape_;
  std::uint64_t spoken_ = 0;
  std::uint64_t guessed_ = 0;            // times with guesses
  std::uint64_t wanted_ = 0;             // experts asked for, those times
  std::vector<std::uint64_t> at_rank_;   // [guesses], guesses made
  std::vector<std::uint64_t> right_at_;  // [guesses], asked for
  std::array<Bin, kBins> bins_;
  std::vector<bool> routed_;  // [experts], all false between calls
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_PREDICTOR_SCORE_H_
