#include "cache/hobbit_policy.h"

#include <algorithm>

namespace sluice::cache {

HobbitPolicy::HobbitPolicy(std::size_t layers, std::size_t experts,
                           const Weights& weights)
    : LayeredPolicy(layers, experts),
      weights_(weights),
      records_(layers * experts) {}

void HobbitPolicy::BeginSequence() {
  passes_ = 0;
  std::ranges::fill(records_, Record());
  ScoresChanged();
}

void HobbitPolicy::BeginVisit(std::size_t layer) {
  if (passes_ == 0 || layer <= visiting()) ++passes_;
}

void HobbitPolicy::Use(std::size_t index) {
  Record& record = records_[index];
  record.last = passes_;
  ++record.uses;
}

std::uint64_t HobbitPolicy::Score(std::size_t index) const {
  const Record& record = records_[index];
  return weights_.recency * record.last + weights_.frequency * record.uses +
         weights_.precision * record.whole;
}

// 16 T n times the priority.
std::uint64_t HobbitPolicy::Weigh(std::size_t layer,
                                  std::uint64_t score) const {
  return score * layers() +
         weights_.distance * passes_ * (layers() - DistanceTo(layer));
}

}  // namespace sluice::cache
