#include "engine/predictor_replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two layers of eight experts, two used; the second layer has what the first
// has plus four. The prompt is one chunk.
std::string TraceText(std::size_t prompt, std::size_t decoded) {
  std::string text =
      "# layers=2 experts=8 expert_bytes=1\n"
      "phase,token,layer,experts,weights\n";
  const auto row = [&text](int phase, std::size_t token, std::size_t layer) {
    const std::size_t first = (token * 3 + token / 5) % 4;
    text += std::to_string(phase) + "," + std::to_string(token) + "," +
            std::to_string(layer) + "," + std::to_string(first + 4 * layer) +
            " " + std::to_string((first + 1) % 4 + 4 * layer) + ",0.6 0.4\n";
  };
  for (std::size_t layer = 0; layer < 2; ++layer) {
    for (std::size_t t = 0; t < prompt; ++t) row(0, t, layer);
  }
  for (std::size_t t = prompt; t < prompt + decoded; ++t) {
    row(1, t, 0);
    row(1, t, 1);
  }
  return text;
}

RoutingTrace Trace(const std::string& text) {
  auto trace = ParseTrace(text, "test");
  EXPECT_TRUE(trace.has_value()) << trace.error().message;
  return *std::move(trace);
}

TEST(ScorePredictors, ScoresAllOnTheSecondHalf) {
  const auto reports = ScorePredictors(Trace(TraceText(60, 140)), "all");
  ASSERT_TRUE(reports.has_value()) << reports.error().message;
  std::vector<std::string> names;
  for (const PredictorReport& report : *reports) names.push_back(report.name);
  EXPECT_THAT(names,
              ElementsAre("previous", "frequency", "transition", "exact"));
  const PredictorReport& frequency = (*reports)[1];
  const PredictorReport& transition = (*reports)[2];
  const PredictorReport& exact = (*reports)[3];
  EXPECT_DOUBLE_EQ(exact.recall[1], 1);
  EXPECT_DOUBLE_EQ(exact.precision[0], 1);
  EXPECT_DOUBLE_EQ(exact.coverage, 1);
  // The second layer follows from the first; 1 of 200 has nothing before it.
  EXPECT_GT(transition.recall[1], 0.75);
  EXPECT_DOUBLE_EQ(transition.coverage, 199.0 / 200);
  EXPECT_LT(frequency.recall[1], 0.7);
  // Nothing is known of the first token.
  EXPECT_DOUBLE_EQ(frequency.coverage, 198.0 / 200);
}

TEST(ScorePredictors, ChunksDoNotShow) {
  const auto prompt = ScorePredictors(Trace(TraceText(200, 0)), "all");
  const auto decoded = ScorePredictors(Trace(TraceText(0, 200)), "all");
  ASSERT_TRUE(prompt.has_value() && decoded.has_value());
  for (std::size_t i = 0; i < prompt->size(); ++i) {
    EXPECT_EQ((*prompt)[i].recall, (*decoded)[i].recall);
    EXPECT_EQ((*prompt)[i].coverage, (*decoded)[i].coverage);
  }
}

TEST(ScorePredictors, OneByName) {
  const auto reports = ScorePredictors(Trace(TraceText(8, 8)), "previous");
  ASSERT_TRUE(reports.has_value());
  ASSERT_EQ(reports->size(), 1U);
  EXPECT_EQ(reports->front().name, "previous");
}

TEST(ScorePredictors, RefusesWhatCannotBeReplayed) {
  for (const char* name : {"next-layer", "none", "oracle", ""}) {
    const auto reports = ScorePredictors(Trace(TraceText(8, 8)), name);
    ASSERT_FALSE(reports.has_value()) << name;
    EXPECT_EQ(reports.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(reports.error().message, HasSubstr("all, previous"));
  }
  EXPECT_FALSE(ScorePredictors(Trace(TraceText(1, 2)), "all").has_value());
}

}  // namespace
}  // namespace sluice
