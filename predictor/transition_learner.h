// TransitionLearner: counts a TransitionTable from routing.
//
//   P(j)     = (n(j) + 2 used / experts) / (tokens + 2)
//   P(j | i) = (n(i, j) + 4 P(j)) / (n(i) + 4)
//
// so that pairs that were hardly seen have no lift.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_PREDICTOR_TRANSITION_LEARNER_H_
#define SLUICE_PREDICTOR_TRANSITION_LEARNER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "predictor/router_shape.h"
#include "predictor/transition_table.h"

namespace sluice {

class TransitionLearner {
 public:
  // REQUIRES: TransitionTable::Fits(shape).
  explicit TransitionLearner(const RouterShape& shape);

  // The tokens to come have nothing to do with those before.
  void BeginSequence();
  // What the router of `layer` asks for, for the tokens of a chunk: [tokens,
  // experts_used]. A chunk goes through the layers in order.
  void Observe(std::uint16_t layer, std::span<const std::uint16_t> routed);

  std::size_t tokens() const { return tokens_; }  // in layer 0
  TransitionTable Table() const;

 private:
  using Routed = std::span<const std::uint16_t>;

  // One token's experts of `layer` were followed by `to`.
  void Count(std::uint16_t layer, Routed from, Routed to);
  std::size_t IndexOf(std::uint16_t layer, std::uint16_t expert) const {
    return layer * shape_.experts + expert;
  }

  const RouterShape shape_;
  std::vector<std::uint32_t> pairs_;  // [layers, experts, experts]
  std::vector<std::uint32_t> uses_;   // [layers, experts]
  std::vector<std::uint32_t> from_;   // [layers, experts], with a successor
  std::vector<std::uint32_t> seen_;   // [layers], tokens
  std::size_t tokens_ = 0;
  std::vector<std::uint16_t> last_;   // the chunk at the layer before
  std::vector<std::uint16_t> first_;  // the chunk at layer 0
  std::vector<std::uint16_t> tail_;   // the last token at the last layer
  std::uint16_t last_layer_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_TRANSITION_LEARNER_H_
