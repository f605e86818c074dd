// CalibratedPredictor: what all predictors share. A predictor ranks candidates
// and sorts each into a bucket; this class turns buckets into confidence by
// measuring how often each bucket is right.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_CALIBRATED_PREDICTOR_H_
#define SLUICE_PREDICTOR_CALIBRATED_PREDICTOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "predictor/calibration.h"
#include "predictor/predictor.h"

namespace sluice {

// An expert that may be asked for, and the kind of guess that it is.
struct Candidate {
  std::uint16_t expert = 0;
  std::uint16_t bucket = 0;  // of a Calibration
};

class CalibratedPredictor : public Predictor {
 public:
  void Observe(std::uint16_t layer,
               std::span<const std::uint16_t> routed) final;
  void Predict(std::uint16_t layer, std::vector<Guess>& guesses) final;

 protected:
  // `prior`: see Calibration.
  CalibratedPredictor(const RouterShape& shape, std::vector<float> prior);

  const RouterShape& shape() const { return shape_; }

  // Appends distinct experts for the next Observe of `layer`, best first, at
  // most shape().guesses(). Called again for the same token it gives the same.
  virtual void Rank(std::uint16_t layer,
                    std::vector<Candidate>& candidates) = 0;
  // Appends what Observe grades, by default what Rank gives: every candidate
  // that was to be had since the last Observe of `layer`, whose confidence
  // there is to learn from.
  virtual void Graded(std::uint16_t layer, std::vector<Candidate>& candidates) {
    Rank(layer, candidates);
  }
  // The second half of Observe: the confidences have been adjusted.
  virtual void Learn(std::uint16_t layer,
                     std::span<const std::uint16_t> routed) = 0;

 private:
  const RouterShape shape_;
  Calibration calibration_;
  std::vector<Candidate> candidates_;
  std::vector<bool> routed_;  // [experts], all false between calls
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_CALIBRATED_PREDICTOR_H_
