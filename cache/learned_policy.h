// LearnedPolicy: evicts the expert that is expected to be used last, by uses
// that it learns to predict while it runs.
//
// Belady's rule evicts what is used furthest in the future. What is known is
// how experts were used so far; how much of that speaks for the next use
// differs between routings: where a text keeps to its experts, the last dozen
// tokens do; where routing is the same for every text, all of them do. Relaxed
// Belady (Song et al., NSDI 2020, "Learning Relaxed Belady for Content
// Distribution Network Caching") learns it from the requests themselves, and so
// does this. Four features of an expert, each a mean of its uses (1 or 0 per
// visit to its layer):
//
//   x0  the last visit            x2  means that fade by 1/16 per visit
//   x1  means that fade by 1/2    x3  by 1/256, over the visits there were
//
// predict whether the next visit uses it, p = w . x, with one w for all layers:
// ridge regression over the visits so far, which fade by 1/512 per token. It
// starts from, and is drawn to, the weights that make p most like LfruPolicy's
// score (whose recency counts the last use alone).
//
//   score = p (1 - 0.3 d / layers)
//
// d: the layers until the next visit, 1 to `layers`.
//
// On recorded and synthetic routings (bench/LEARNED.md) it hits as LFRU does
// where that is better than LFU, and as LFU does where that is.
//
// Cost: a new visit O(experts), some 30 multiplications for each; Use O(1);
// else as LayeredPolicy. The arithmetic is IEEE's, in one order and without
// fused multiplications (-ffp-contract=off), so choices are the same on every
// machine.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_LEARNED_POLICY_H_
#define SLUICE_CACHE_LEARNED_POLICY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cache/layered_policy.h"
#include "cache/ridge_regression.h"

namespace sluice::cache {

class LearnedPolicy final : public LayeredPolicy {
 public:
  LearnedPolicy(std::size_t layers, std::size_t experts);
  std::string_view name() const override { return "learned"; }

 private:
  static constexpr std::size_t kFeatures = 4;
  using Features = std::array<float, kFeatures>;

  void BeginVisit(std::size_t layer) override;
  void Use(std::size_t index) override;
  std::uint64_t Score(std::size_t index) const override {
    return scores_[index];
  }
  std::uint64_t Weigh(std::size_t layer, std::uint64_t score) const override;

  // What the visit that ends has shown.
  void Learn();
  // The features of the expert at `index`, and the score that they give.
  Features FeaturesOf(std::size_t index) const;
  std::uint64_t ScoreOf(std::size_t index) const;

  RidgeRegression<kFeatures> regression_;
  std::array<double, kFeatures> weights_;
  std::vector<Features> means_;        // [layers, experts]; x3 not yet divided
  std::vector<float> seen_;            // [layers] what divides x3
  std::vector<std::uint64_t> scores_;  // [layers, experts]

  // Of the visit under way.
  std::vector<Features> before_;    // [experts] what it had to predict from
  std::vector<std::uint8_t> used_;  // [experts]
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_LEARNED_POLICY_H_
