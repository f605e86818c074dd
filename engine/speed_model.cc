#include "engine/speed_model.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace sluice {
namespace {

// Share of the memory's bandwidth that a decoded token's products reach, with
// everything between them.
constexpr double kComputeShare = 0.80;

// Of a layer's dense part, how much reads of guesses hide of the reads that
// the layer waits for, less what wrong guesses delay.
constexpr double kAheadShare = 0.0;

}  // namespace

TokenTime PredictToken(const TokenWork& work, const MachineSpeeds& speeds) {
  const double rate = kComputeShare * speeds.dram_bytes_per_second;
  const auto layers = static_cast<double>(work.layers);
  const double dense = static_cast<double>(work.dense_bytes) / rate / layers;
  const double expert = static_cast<double>(work.expert_bytes) / rate;
  const double read =
      static_cast<double>(work.read_bytes) / speeds.flash_bytes_per_second;
  const std::uint32_t used = work.experts_used;
  const double covered = (used - 1) * expert + kAheadShare * dense;

  double stall = 0;    // of a layer
  double choices = 1;  // of `misses` among the experts
  for (std::uint32_t misses = 1; misses <= used; ++misses) {
    choices *= static_cast<double>(used - misses + 1) / misses;
    const double probability = choices * std::pow(1 - work.hit_rate, misses) *
                               std::pow(work.hit_rate, used - misses);
    stall += probability * std::max(0.0, speeds.flash_latency_seconds +
                                             misses * read - covered);
  }
  return {.compute_seconds = layers * (dense + used * expert),
          .stall_seconds = layers * stall};
}

double ExpectedHitRate(double share) {
  struct Point {
    double share;
    double rate;
  };
  static constexpr std::array<Point, 7> kCurve = {{{0.0, 0.0},
                                                   {0.02, 0.226},
                                                   {0.05, 0.395},
                                                   {0.10, 0.587},
                                                   {0.25, 0.845},
                                                   {0.50, 0.964},
                                                   {1.0, 1.0}}};
  for (std::size_t i = 1; i < kCurve.size(); ++i) {
    const Point& low = kCurve[i - 1];
    const Point& high = kCurve[i];
    if (share <= high.share) {
      return low.rate + (share - low.share) / (high.share - low.share) *
                            (high.rate - low.rate);
    }
  }
  return 1.0;
}

}  // namespace sluice
