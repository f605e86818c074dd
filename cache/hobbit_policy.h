// HobbitPolicy: the weighted score of HOBBIT (arXiv 2411.01433, section 3.4),
// whose records begin anew with each sequence.
//
// A pass is one turn through the layers: a token in decoding, a chunk in
// prefill. With T the passes of this sequence, R the pass in which an expert
// was last used (0: none), F the passes in which it was used, n the layers and
// d the layers from the one being visited to the expert's (0: the same),
//
//   priority = recency R/T + frequency F/T + distance (1 - d/n)
//
// with weights that sum to 1; the lowest priority goes. The paper's fourth
// term is for caches that hold several precisions, and an option here: the
// passes H in which an expert was wanted whole, precision H/T. Where every use
// is of all planes, H = F.
//
// The paper gives no weights. These were fitted on the first half of the
// decoded tokens of two models (bench/LEARNED.md); their neighbours are within
// 0.3 points on the second half.
//
// Computed as 16 T n times the priority, in whole numbers. Ties and costs as in
// LayeredPolicy; Touch O(1), BeginSequence O(layers * experts).
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_HOBBIT_POLICY_H_
#define SLUICE_CACHE_HOBBIT_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cache/layered_policy.h"

namespace sluice::cache {

class HobbitPolicy final : public LayeredPolicy {
 public:
  // In sixteenths.
  struct Weights {
    std::uint64_t recency = 8;
    std::uint64_t frequency = 7;
    std::uint64_t distance = 1;
    std::uint64_t precision = 0;
  };
  // Most of the frequency's weight given to uses at high precision.
  static constexpr Weights WithPrecision() {
    return {.recency = 8, .frequency = 3, .distance = 1, .precision = 4};
  }

  HobbitPolicy(std::size_t layers, std::size_t experts)
      : HobbitPolicy(layers, experts, Weights()) {}
  HobbitPolicy(std::size_t layers, std::size_t experts, const Weights& weights);

  void BeginSequence() override;
  std::string_view name() const override {
    return weights_.precision > 0 ? "hobbit-precision" : "hobbit";
  }

 private:
  struct Record {
    std::uint32_t last = 0;   // R
    std::uint32_t uses = 0;   // F
    std::uint32_t whole = 0;  // H
  };

  void BeginVisit(std::size_t layer) override;
  void Use(std::size_t index) override;
  void UseWhole(std::size_t index) override { ++records_[index].whole; }
  std::uint64_t Score(std::size_t index) const override;
  std::uint64_t Weigh(std::size_t layer, std::uint64_t score) const override;

  const Weights weights_;
  std::uint32_t passes_ = 0;     // T
  std::vector<Record> records_;  // [layers, experts]
};

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_HOBBIT_POLICY_H_
