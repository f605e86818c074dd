#include "engine/predictor_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {
namespace {

ModelReport Model(std::uint32_t layers, std::uint32_t experts) {
  ModelReport model;
  model.layers = layers;
  model.experts = experts;
  model.experts_used = 2;
  return model;
}

// A layer's experts are those of the layer before plus one; each token begins
// elsewhere, so popularity says nothing.
std::vector<std::uint16_t> Routed(std::size_t token, std::uint16_t layer) {
  const std::size_t first = token * 5 + token / 8 + layer;
  return {static_cast<std::uint16_t>(first % 8),
          static_cast<std::uint16_t>((first + 3) % 8)};
}

// Runs tokens [begin, end) through 3 layers in chunks, as one text; through the
// last one only the last `outputs` of each.
void RunText(PredictorTrainer& trainer, std::size_t begin, std::size_t end,
             std::size_t chunk, std::size_t outputs = 1000) {
  for (std::size_t at = begin; at < end; at += chunk) {
    for (std::uint16_t layer = 0; layer < 3; ++layer) {
      std::size_t tokens = std::min(chunk, end - at);
      const std::size_t past = at + tokens;
      if (layer == 2) tokens = std::min(tokens, outputs);
      std::vector<std::uint16_t> experts;
      for (std::size_t t = past - tokens; t < past; ++t) {
        const auto routed = Routed(t, layer);
        experts.insert(experts.end(), routed.begin(), routed.end());
      }
      const std::vector<float> weights(experts.size(), 0.5F);
      trainer.Observe({.phase = RoutingPhase::kPrompt,
                       .position = past - tokens - begin,
                       .layer = layer,
                       .tokens = tokens,
                       .experts = experts,
                       .weights = weights});
    }
  }
}

TEST(PredictorTrainer, LearnsWhatFollowsAndScoresIt) {
  auto trainer = PredictorTrainer::Create(Model(3, 8));
  ASSERT_TRUE(trainer.has_value());
  RunText(*trainer, 0, 500, 64);
  RunText(*trainer, 500, 900, 7);
  trainer->BeginScoring();
  RunText(*trainer, 900, 1000, 64);
  EXPECT_EQ(trainer->tokens(), 900U);
  EXPECT_EQ(trainer->scored_tokens(), 100U);
  const PredictorReport report = trainer->report();
  const PredictorReport control = trainer->control();
  EXPECT_EQ(report.name, "transition");
  EXPECT_EQ(control.name, "frequency");
  // All but the first layer of the text; two of three layers follow the rule.
  EXPECT_NEAR(report.coverage, 299.0 / 300, 1e-9);
  EXPECT_GT(report.recall[1], 0.66);
  EXPECT_LT(control.recall[1], 0.5);
}

TEST(PredictorTrainer, ScoresTokensThatWentThroughTheLastLayer) {
  auto trainer = PredictorTrainer::Create(Model(3, 8));
  ASSERT_TRUE(trainer.has_value());
  RunText(*trainer, 0, 900, 64);
  trainer->BeginScoring();
  RunText(*trainer, 900, 1000, 10, 4);
  EXPECT_EQ(trainer->scored_tokens(), 40U);
  EXPECT_GT(trainer->report().recall[1], 0.66);
}

TEST(PredictorTrainer, ChunksDoNotShowInTheFile) {
  std::vector<std::string> files;
  for (const std::size_t chunk : {1U, 9U, 200U}) {
    auto trainer = PredictorTrainer::Create(Model(3, 8));
    ASSERT_TRUE(trainer.has_value());
    RunText(*trainer, 0, 200, chunk);
    RunText(*trainer, 200, 300, chunk);
    trainer->BeginScoring();
    RunText(*trainer, 300, 310, chunk);
    files.push_back(trainer->File());
    EXPECT_LE(files.back().size(), trainer->memory_bytes());
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_EQ(files[0], files[2]);
}

TEST(PredictorTrainer, RefusesModelsBeyondATable) {
  const auto trainer = PredictorTrainer::Create(Model(64, 4096));
  ASSERT_FALSE(trainer.has_value());
  EXPECT_EQ(trainer.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace sluice
