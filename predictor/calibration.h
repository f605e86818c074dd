// Calibration: how often guesses of a kind turned out right, lately.
//
// A kind of guess is a bucket: a rank, or a range of scores. Each layer keeps a
// running frequency of its own, which leans on that of all layers until it has
// seen enough; that of all layers leans on a prior:
//
//   all(b)   = (hits(b) + kWeight * prior(b)) / (trials(b) + kWeight)
//   p(l, b)  = (hits(l, b) + kWeight * all(b)) / (trials(l, b) + kWeight)
//
// Counts decay with every trial of their cell, so that p follows the text.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_CALIBRATION_H_
#define SLUICE_PREDICTOR_CALIBRATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

class Calibration {
 public:
  // `prior`: for each bucket, the probability to begin with.
  Calibration(std::size_t layers, std::vector<float> prior);

  std::size_t buckets() const { return prior_.size(); }
  void Add(std::uint16_t layer, std::size_t bucket, bool right);
  float Probability(std::uint16_t layer, std::size_t bucket) const;

 private:
  static constexpr float kWeight = 8;  // trials
  static constexpr float kLayerDecay = 1.0F / 128;
  static constexpr float kAllDecay = 1.0F / 2048;

  struct Cell {
    float hits = 0;
    float trials = 0;
    void Add(bool right, float decay);
    float Estimate(float prior) const {
      return (hits + kWeight * prior) / (trials + kWeight);
    }
  };

  std::vector<float> prior_;
  std::vector<Cell> all_;     // [buckets]
  std::vector<Cell> layers_;  // [layers, buckets]
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_CALIBRATION_H_
