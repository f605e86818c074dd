#include "predictor/transition_predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

using ::testing::IsEmpty;

constexpr RouterShape kShape = {.layers = 2, .experts = 4, .experts_used = 1};
using Ids = std::vector<std::uint16_t>;

// Expert 0 of layer 0 is followed by 3 of layer 1, 1 by 2; 3 of layer 1 by 1
// of the next token's layer 0. All experts are equally popular.
TransitionTable Example() {
  std::vector<std::int8_t> lift(2 * 4 * 4);
  const auto at = [&lift](std::size_t layer, std::size_t i,
                          std::size_t j) -> std::int8_t& {
    return lift[(layer * 4 + i) * 4 + j];
  };
  at(0, 0, 3) = 40;
  at(0, 1, 2) = 40;
  at(1, 3, 1) = 40;
  return {kShape, std::vector<float>(8, 0.25F), std::move(lift)};
}

std::uint16_t Best(TransitionPredictor& predictor, std::uint16_t layer) {
  std::vector<Guess> guesses;
  predictor.Predict(layer, guesses);
  EXPECT_EQ(guesses.size(), 4U);
  return guesses.empty() ? std::uint16_t{99} : guesses[0].expert;
}

TEST(TransitionPredictor, FollowsTheTable) {
  TransitionPredictor predictor(Example());
  predictor.Observe(0, Ids{0});
  EXPECT_EQ(Best(predictor, 1), 3);
  predictor.Observe(1, Ids{3});
  EXPECT_EQ(Best(predictor, 0), 1);
  predictor.Observe(0, Ids{1});
  EXPECT_EQ(Best(predictor, 1), 2);
}

TEST(TransitionPredictor, GuessesTheNextLayerAlone) {
  TransitionPredictor predictor(Example());
  std::vector<Guess> guesses;
  predictor.Observe(0, Ids{0});
  predictor.Predict(0, guesses);
  EXPECT_THAT(guesses, IsEmpty());
}

// In a chunk the tokens' experts of one layer come one after the other.
TEST(TransitionPredictor, DoesNotGuessWithinAChunk) {
  TransitionPredictor predictor(Example());
  std::vector<Guess> guesses;
  predictor.Observe(0, Ids{0});
  predictor.Observe(0, Ids{1});
  predictor.Predict(1, guesses);
  EXPECT_THAT(guesses, IsEmpty());
  predictor.Observe(1, Ids{3});
  EXPECT_EQ(Best(predictor, 0), 1);
}

TEST(TransitionPredictor, PopularityBecomesThatOfTheSequence) {
  TransitionPredictor predictor(Example());
  for (int token = 0; token < 40; ++token) {
    predictor.Observe(0, Ids{2});  // has no lifts
    predictor.Observe(1, Ids{1});
  }
  predictor.Observe(0, Ids{2});
  EXPECT_EQ(Best(predictor, 1), 1);
  // A lift still counts.
  predictor.Observe(1, Ids{1});
  predictor.Observe(0, Ids{0});
  std::vector<Guess> guesses;
  predictor.Predict(1, guesses);
  EXPECT_EQ(guesses[1].expert, 3);
}

}  // namespace
}  // namespace sluice
