// Fuzz target of the reader of predictor tables. An input is a whole table.
//
// A rejected input must say what is wrong in one line; an accepted one must
// have values within their bounds everywhere, give its own bytes back, and
// serve a predictor that is asked about every layer. Nothing may crash.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "predictor/predictor.h"
#include "predictor/transition_table.h"

namespace {

using sluice::Guess;
using sluice::PredictorKind;
using sluice::RouterShape;
using sluice::TransitionTable;

constexpr std::size_t kMostPredictions = 64;  // layers, for speed

void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what.c_str());
  std::abort();
}

void CheckValues(const TransitionTable& table) {
  const RouterShape& shape = table.shape();
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    const auto index = static_cast<std::uint16_t>(layer);
    for (const float share : table.Popularity(index)) {
      Require(share > 0 && share <= 1, "a popularity is out of bounds");
    }
    for (std::size_t from = 0; from < shape.experts; ++from) {
      const auto lift = table.Lift(index, static_cast<std::uint16_t>(from));
      Require(lift.size() == shape.experts, "a row is too short");
    }
  }
}

void CheckPredictor(const TransitionTable& table) {
  const RouterShape shape = table.shape();
  const auto predictor =
      MakePredictor(PredictorKind::kTransition, shape, {.table = table});
  std::vector<std::uint16_t> routed(shape.experts_used);
  for (std::size_t i = 0; i < routed.size(); ++i) {
    routed[i] = static_cast<std::uint16_t>(i);
  }
  std::vector<Guess> guesses;
  const std::size_t layers = std::min(shape.layers, kMostPredictions);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const auto index = static_cast<std::uint16_t>(layer);
    predictor->Predict(index, guesses);
    for (const Guess& guess : guesses) {
      Require(guess.expert < shape.experts, "a guess is no expert");
      Require(guess.confidence >= 0 && guess.confidence <= 1,
              "a confidence is no probability");
    }
    predictor->Observe(index, routed);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::span<const std::byte> bytes(
      reinterpret_cast<const std::byte*>(data), size);
  std::string problem;
  const std::optional<TransitionTable> table =
      TransitionTable::Parse(bytes, problem);
  if (!table) {
    Require(!problem.empty() && problem.size() < 1000 &&
                problem.find('\n') == std::string::npos,
            problem);
    return 0;
  }
  CheckValues(*table);
  const std::vector<std::byte> again = table->Serialize();
  Require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()),
          "the bytes are others");
  CheckPredictor(*table);
  return 0;
}
