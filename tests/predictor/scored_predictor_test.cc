#include "predictor/scored_predictor.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace sluice {
namespace {

constexpr RouterShape kShape = {.layers = 1, .experts = 8, .experts_used = 2};
using Ids = std::vector<std::uint16_t>;

// Experts alternate: the scores know it, popularity does not.
TEST(ScoredPredictor, ScoresThePredictorBesideItsControl) {
  ScoredPredictor predictor(
      MakePredictor(PredictorKind::kNextLayer, kShape, {}), kShape);
  EXPECT_EQ(predictor.name(), "next-layer");
  EXPECT_TRUE(predictor.WantsScores(1));
  predictor.Observe(0, Ids{0, 1});
  for (std::uint16_t i = 0; i < 99; ++i) {
    const auto first = static_cast<std::uint16_t>(i % 4 * 2);
    const Ids routed = {first, static_cast<std::uint16_t>(first + 1)};
    std::vector<float> scores(8, 0.1F);
    for (const std::uint16_t e : routed) scores[e] = 0.5F;
    predictor.ObserveScores(0, 1, scores);
    predictor.Observe(0, routed);
  }
  EXPECT_DOUBLE_EQ(predictor.score().coverage(), 0.99);
  EXPECT_DOUBLE_EQ(predictor.score().RecallAt(2), 1);
  EXPECT_DOUBLE_EQ(predictor.control().coverage(), 1)
      << "scored on what the predictor was scored on";
  EXPECT_LT(predictor.control().RecallAt(2), 0.5);
  EXPECT_GT(predictor.control().RecallAt(8), 0.9);
}

TEST(ScoredPredictor, BeginsSequencesOfBoth) {
  ScoredPredictor predictor(MakePredictor(PredictorKind::kPrevious, kShape, {}),
                            kShape);
  predictor.Observe(0, Ids{0, 1});
  predictor.BeginSequence();
  predictor.Observe(0, Ids{0, 1});
  EXPECT_EQ(predictor.score().coverage(), 0);
  EXPECT_EQ(predictor.control().coverage(), 0);
}

}  // namespace
}  // namespace sluice
