// TransitionTable: which experts of a layer follow which of the layer before,
// learned from text. The last layer is followed by the first, of the next
// token.
//
// For each expert j of each layer l the table has its popularity P(j), the
// share of tokens that use it, and for each expert i of the layer before, the
// lift of j by i in natural logarithms:
//
//   lift(i, j) = log(P(j | i) / P(j))
//
// in sixteenths, a byte each. All pairs are kept. Keeping the likeliest 32 of
// 128 for each i instead loses two of the 58 points of recall on Qwen3-30B-A3B
// (what is unlikely tells something too) and saves nothing once each needs its
// index.
//
// As bytes, little-endian:
//
//   "sluicetr", u32 version = 1, u32 layers, u32 experts, u32 experts_used,
//   f32 popularity [layers, experts],
//   i8 lift [layers, experts (from), experts (to)]
//
// where lift [l] leads from layer l to layer l + 1, that of the last to layer
// 0. A file of the engine has a checksum after it (engine/predictor_file.h).
//
// Thread safety: a value.
#ifndef SLUICE_PREDICTOR_TRANSITION_TABLE_H_
#define SLUICE_PREDICTOR_TRANSITION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "predictor/router_shape.h"

namespace sluice {

class TransitionTable {
 public:
  static constexpr float kStepsPerUnit = 16;
  // A table of more pairs is refused.
  static constexpr std::size_t kMostPairs = std::size_t{16} << 20;

  // `popularity` [layers, experts], above 0 and at most 1; `lift` [layers,
  // experts, experts].
  TransitionTable(const RouterShape& shape, std::vector<float> popularity,
                  std::vector<std::int8_t> lift);

  // Whether the table of such routers has at most kMostPairs pairs.
  static bool Fits(const RouterShape& shape);

  const RouterShape& shape() const { return shape_; }
  // Of the experts of `layer`, [experts].
  std::span<const float> Popularity(std::uint16_t layer) const;
  // Of the experts of the layer after `layer` by its expert `from`, [experts],
  // in 1 / kStepsPerUnit.
  std::span<const std::int8_t> Lift(std::uint16_t layer,
                                    std::uint16_t from) const;

  std::vector<std::byte> Serialize() const;
  // Nothing, and what is wrong in `problem`, when `bytes` are no table.
  static std::optional<TransitionTable> Parse(std::span<const std::byte> bytes,
                                              std::string& problem);

 private:
  RouterShape shape_;
  std::vector<float> popularity_;
  std::vector<std::int8_t> lift_;
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_TRANSITION_TABLE_H_
