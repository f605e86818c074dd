#include "predictor/transition_learner.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace sluice {
namespace {

constexpr float kPopularityWeight = 2;  // tokens
constexpr float kPairWeight = 4;        // uses of the first of a pair

std::int8_t Steps(float lift) {
  return static_cast<std::int8_t>(std::clamp(
      std::round(lift * TransitionTable::kStepsPerUnit), -127.0F, 127.0F));
}

}  // namespace

TransitionLearner::TransitionLearner(const RouterShape& shape)
    : shape_(shape),
      pairs_(shape.layers * shape.experts * shape.experts),
      uses_(shape.layers * shape.experts),
      from_(shape.layers * shape.experts),
      seen_(shape.layers) {
  assert(TransitionTable::Fits(shape));
}

void TransitionLearner::BeginSequence() {
  last_.clear();
  first_.clear();
  tail_.clear();
}

void TransitionLearner::Observe(std::uint16_t layer, Routed routed) {
  const std::size_t used = shape_.experts_used;
  assert(layer < shape_.layers && routed.size() % used == 0);
  for (const std::uint16_t expert : routed) ++uses_[IndexOf(layer, expert)];
  seen_[layer] += static_cast<std::uint32_t>(routed.size() / used);
  if (layer == 0) {
    tokens_ += routed.size() / used;
    if (!tail_.empty()) Count(last_layer_, tail_, routed.first(used));
    first_.assign(routed.begin(), routed.end());
  } else if (layer == last_layer_ + 1 && last_.size() == routed.size()) {
    for (std::size_t at = 0; at < routed.size(); at += used) {
      Count(last_layer_, Routed(last_).subspan(at, used),
            routed.subspan(at, used));
    }
  }
  last_.assign(routed.begin(), routed.end());
  last_layer_ = layer;
  tail_.clear();
  if (layer + 1U == shape_.layers && first_.size() == routed.size()) {
    for (std::size_t at = used; at < routed.size(); at += used) {
      Count(layer, routed.subspan(at - used, used),
            Routed(first_).subspan(at, used));
    }
    tail_.assign(routed.end() - static_cast<std::ptrdiff_t>(used),
                 routed.end());
  }
}

void TransitionLearner::Count(std::uint16_t layer, Routed from, Routed to) {
  for (const std::uint16_t i : from) {
    const std::size_t row = IndexOf(layer, i);
    ++from_[row];
    for (const std::uint16_t j : to) ++pairs_[row * shape_.experts + j];
  }
}

TransitionTable TransitionLearner::Table() const {
  const std::size_t experts = shape_.experts;
  const float even =
      static_cast<float>(shape_.experts_used) / static_cast<float>(experts);
  std::vector<float> popularity(uses_.size());
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    popularity[i] =
        (static_cast<float>(uses_[i]) + kPopularityWeight * even) /
        (static_cast<float>(seen_[i / experts]) + kPopularityWeight);
  }
  std::vector<std::int8_t> lift(pairs_.size());
  for (std::size_t row = 0; row < from_.size(); ++row) {
    const std::size_t next = (row / experts + 1) % shape_.layers;
    for (std::size_t j = 0; j < experts; ++j) {
      const float p = popularity[next * experts + j];
      const float given =
          (static_cast<float>(pairs_[row * experts + j]) + kPairWeight * p) /
          (static_cast<float>(from_[row]) + kPairWeight);
      lift[row * experts + j] = Steps(std::log(given / p));
    }
  }
  return {shape_, std::move(popularity), std::move(lift)};
}

}  // namespace sluice
