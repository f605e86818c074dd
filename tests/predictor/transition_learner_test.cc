#include "predictor/transition_learner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sluice {
namespace {

constexpr RouterShape kShape = {.layers = 3, .experts = 4, .experts_used = 2};
using Ids = std::vector<std::uint16_t>;

// Routing of `tokens` tokens with rules: layer 1 has what layer 0 has plus one,
// layer 2 plus two, layer 0 what the last token's layer 2 had plus one.
std::vector<std::vector<Ids>> Tokens(std::size_t tokens) {
  std::vector<std::vector<Ids>> routing;
  std::uint16_t base = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    const auto at = [&](unsigned add) {
      return Ids{static_cast<std::uint16_t>((base + add) % 4),
                 static_cast<std::uint16_t>((base + add + 1) % 4)};
    };
    routing.push_back({at(0), at(1), at(2)});
    base = static_cast<std::uint16_t>((base + 3) % 4);
  }
  return routing;
}

std::vector<std::byte> LearnInChunks(std::size_t tokens, std::size_t chunk) {
  const auto routing = Tokens(tokens);
  TransitionLearner learner(kShape);
  for (std::size_t t = 0; t < tokens; t += chunk) {
    for (std::uint16_t layer = 0; layer < kShape.layers; ++layer) {
      Ids routed;
      for (std::size_t i = t; i < std::min(tokens, t + chunk); ++i) {
        routed.insert(routed.end(), routing[i][layer].begin(),
                      routing[i][layer].end());
      }
      learner.Observe(layer, routed);
    }
  }
  EXPECT_EQ(learner.tokens(), tokens);
  return learner.Table().Serialize();
}

TEST(TransitionLearner, KnowsNothingWithoutText) {
  const TransitionTable table = TransitionLearner(kShape).Table();
  EXPECT_EQ(table.shape(), kShape);
  for (std::uint16_t layer = 0; layer < 3; ++layer) {
    for (const float p : table.Popularity(layer)) EXPECT_FLOAT_EQ(p, 0.5F);
    for (const std::int8_t lift : table.Lift(layer, 0)) EXPECT_EQ(lift, 0);
  }
}

TEST(TransitionLearner, CountsAsDocumented) {
  TransitionLearner learner(kShape);
  learner.Observe(0, Ids{0, 1});
  learner.Observe(1, Ids{2, 3});
  const TransitionTable table = learner.Table();
  EXPECT_FLOAT_EQ(table.Popularity(0)[0], 2.0F / 3);  // (1 + 2 / 2) / (1 + 2)
  EXPECT_FLOAT_EQ(table.Popularity(0)[2], 1.0F / 3);
  EXPECT_FLOAT_EQ(table.Popularity(2)[0], 0.5F);
  // P(2 | 0) = (1 + 4 * 2/3) / (1 + 4), against 2/3.
  const float lift = std::log((1 + 8.0F / 3) / 5 / (2.0F / 3));
  EXPECT_EQ(table.Lift(0, 0)[2], std::lround(lift * 16));
  EXPECT_LT(table.Lift(0, 0)[1], 0);
  EXPECT_EQ(table.Lift(0, 2)[2], 0);
}

TEST(TransitionLearner, LearnsRulesAcrossLayersAndTokens) {
  std::string problem;
  const auto table = TransitionTable::Parse(LearnInChunks(400, 1), problem);
  ASSERT_TRUE(table.has_value()) << problem;
  for (std::uint16_t layer = 0; layer < 3; ++layer) {
    for (std::uint16_t i = 0; i < 4; ++i) {
      const auto lift = table->Lift(layer, i);
      EXPECT_GT(lift[(i + 1) % 4], 8) << layer << " " << i;
      EXPECT_LT(lift[(i + 3) % 4], -16) << layer << " " << i;
    }
  }
}

TEST(TransitionLearner, ChunksDoNotShow) {
  const auto one_by_one = LearnInChunks(37, 1);
  EXPECT_EQ(LearnInChunks(37, 5), one_by_one);
  EXPECT_EQ(LearnInChunks(37, 64), one_by_one);
}

TEST(TransitionLearner, SequencesDoNotFollowEachOther) {
  TransitionLearner learner(kShape);
  const auto token = [&learner] {
    for (std::uint16_t layer = 0; layer < 3; ++layer) {
      learner.Observe(layer, Ids{0, 1});
    }
  };
  token();
  learner.BeginSequence();
  token();
  const TransitionTable table = learner.Table();
  for (const std::int8_t lift : table.Lift(2, 0)) EXPECT_EQ(lift, 0);
  token();
  EXPECT_GT(learner.Table().Lift(2, 0)[0], 0);
}

}  // namespace
}  // namespace sluice
