#include "cache/learned_policy.h"

#include <algorithm>

namespace sluice::cache {
namespace {

// How much of a mean a visit is.
constexpr std::array<float, 4> kRates = {1.0F, 0.5F, 1.0F / 16, 1.0F / 256};
constexpr std::size_t kSlow = 3;  // the one that is divided

// LfruPolicy's: 16 times the third mean and 4 times the second, as a sum of 1.
constexpr std::array<double, 4> kStart = {0, 0.2, 0.8, 0};
constexpr double kRidge = 30;  // samples
constexpr double kFadePerToken = 1.0 / 512;

// Means below this are 0: denormal numbers are slow.
constexpr float kNothing = 1e-12F;

constexpr double kOne = 4294967296.0;  // the score of p = 1

float Faded(float mean, float rate) {
  const float faded = mean - mean * rate;
  return faded < kNothing ? 0 : faded;
}

}  // namespace

LearnedPolicy::LearnedPolicy(std::size_t layers, std::size_t experts)
    : LayeredPolicy(layers, experts),
      regression_(kStart, kRidge),
      weights_(kStart),
      means_(layers * experts),
      seen_(layers),
      scores_(layers * experts),
      before_(experts),
      used_(experts) {}

void LearnedPolicy::BeginVisit(std::size_t layer) {
  Learn();
  const std::size_t first = FirstOf(layer);
  for (std::size_t e = 0; e < experts(); ++e) {
    before_[e] = FeaturesOf(first + e);
    for (std::size_t k = 0; k < kFeatures; ++k) {
      float& mean = means_[first + e][k];
      mean = Faded(mean, kRates[k]);
    }
  }
  seen_[layer] += (1 - seen_[layer]) * kRates[kSlow];
  for (std::size_t e = 0; e < experts(); ++e) {
    scores_[first + e] = ScoreOf(first + e);
  }
}

void LearnedPolicy::Learn() {
  for (std::size_t e = 0; e < experts(); ++e) {
    regression_.Add(before_[e], used_[e] != 0);
  }
  regression_.Fade(1 - kFadePerToken / static_cast<double>(layers()));
  weights_ = regression_.Weights();
  std::ranges::fill(used_, std::uint8_t{0});
}

void LearnedPolicy::Use(std::size_t index) {
  for (std::size_t k = 0; k < kFeatures; ++k) means_[index][k] += kRates[k];
  scores_[index] = ScoreOf(index);
  used_[index % experts()] = 1;
}

LearnedPolicy::Features LearnedPolicy::FeaturesOf(std::size_t index) const {
  Features x = means_[index];
  const float seen = seen_[index / experts()];
  if (seen > 0) x[kSlow] /= seen;
  return x;
}

std::uint64_t LearnedPolicy::ScoreOf(std::size_t index) const {
  const Features x = FeaturesOf(index);
  double p = 0;
  for (std::size_t k = 0; k < kFeatures; ++k) p += weights_[k] * double{x[k]};
  return static_cast<std::uint64_t>(kOne * std::clamp(p, 0.0, 1.0));
}

// 10 n times the score.
std::uint64_t LearnedPolicy::Weigh(std::size_t layer,
                                   std::uint64_t score) const {
  const std::size_t distance = DistanceTo(layer);
  return score * (10 * layers() - 3 * (distance == 0 ? layers() : distance));
}

}  // namespace sluice::cache
