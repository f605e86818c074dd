#include "engine/routing_trace.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kHead =
    "# a comment\n"
    "# layers=3 experts=8 expert_bytes=4096 phase 0 = prompt, 1 = decode\n"
    "phase,token,layer,experts,weights\n";

RoutingTrace Parsed(const std::string& text) {
  auto trace = ParseTrace(text, "t.csv");
  EXPECT_TRUE(trace.has_value()) << trace.error().message;
  return trace ? *std::move(trace) : RoutingTrace();
}

// "phase/token/layer/tokens" of each visit.
std::vector<std::string> VisitsOf(const RoutingTrace& trace) {
  std::vector<std::string> visits;
  for (const RoutingVisit& visit : trace.visits) {
    visits.push_back(std::to_string(static_cast<int>(visit.phase)) + "/" +
                     std::to_string(visit.token) + "/" +
                     std::to_string(visit.layer) + "/" +
                     std::to_string(visit.tokens));
  }
  return visits;
}

TEST(RoutingTraceTest, ReadsShapeRowsAndVisits) {
  const RoutingTrace trace = Parsed(kHead +
                                    "0,0,0,1 2,0.75 0.25\n"
                                    "0,1,0,2 7,0.5 0.5\n"
                                    "0,1,2,0 3,1 0\r\n"
                                    "\n"
                                    "1,2,0,4 5,0.9 0.1\n"
                                    "# anything\n"
                                    "1,3,0,5 4,0.9 0.1\n");
  EXPECT_EQ(trace.shape.layers, 3u);
  EXPECT_EQ(trace.shape.experts, 8u);
  EXPECT_EQ(trace.shape.expert_bytes, 4096u);
  EXPECT_EQ(trace.used, 2u);
  EXPECT_THAT(VisitsOf(trace),
              ElementsAre("0/0/0/2", "0/1/2/1", "1/2/0/1", "1/3/0/1"));
  EXPECT_THAT(trace.ExpertsOf(trace.visits[0]), ElementsAre(1, 2, 2, 7));
  EXPECT_THAT(trace.ExpertsOf(trace.visits[3]), ElementsAre(5, 4));
  EXPECT_THAT(trace.weights, ElementsAre(0.75F, 0.25F, 0.5F, 0.5F, 1, 0, 0.9F,
                                         0.1F, 0.9F, 0.1F));
}

// A prompt after a prompt, where layers do not tell chunks apart.
TEST(RoutingTraceTest, ChunksBeginAtTheirLineOrWhereTokensGoBack) {
  const RoutingTrace trace = Parsed(
      "# layers=1 experts=8 expert_bytes=1\n"
      "phase,token,layer,experts,weights\n"
      "0,0,0,1,1\n"
      "0,1,0,1,1\n"
      "# chunk\n"
      "0,2,0,1,1\n"
      "0,0,0,1,1\n");
  EXPECT_THAT(VisitsOf(trace), ElementsAre("0/0/0/2", "0/2/0/1", "0/0/0/1"));
}

TEST(RoutingTraceTest, AChunkMayTakeThePlaceOfSlots) {
  const RoutingTrace trace = Parsed(
      "# layers=1 experts=8 expert_bytes=1\n"
      "phase,token,layer,experts,weights\n"
      "# chunk lent=7\n"
      "0,0,0,1,1\n"
      "# chunk\n"
      "0,1,0,1,1\n"
      "# chunk lent=3\n"
      "0,2,0,1,1\n"
      "1,3,0,1,1\n");
  std::vector<std::uint32_t> lent;
  for (const RoutingVisit& visit : trace.visits) {
    lent.push_back(visit.slots_lent);
  }
  EXPECT_THAT(lent, ElementsAre(7, 0, 3, 0));
}

TEST(RoutingTraceTest, WhatIsWrittenIsRead) {
  const std::vector<std::uint16_t> experts = {3, 1, 0, 2};
  const std::vector<float> weights = {0.75F, 0.25F, 0.5F, 0.5F};
  RoutedChunk chunk = {.phase = RoutingPhase::kPrompt,
                       .position = 5,
                       .layer = 0,
                       .tokens = 2,
                       .slots_lent = 9,
                       .experts = experts,
                       .weights = weights};
  std::string text =
      TraceHeader({.layers = 2, .experts = 4, .expert_bytes = 99});
  text += TraceRows(chunk);
  chunk.slots_lent = 0;
  text += TraceRows(chunk);  // the same chunk again: another one
  chunk.layer = 1;
  text += TraceRows(chunk);
  chunk = {.phase = RoutingPhase::kDecode,
           .position = 7,
           .layer = 0,
           .tokens = 1,
           .experts = std::span(experts).first(2),
           .weights = std::span(weights).first(2)};
  text += TraceRows(chunk);
  const RoutingTrace trace = Parsed(text);
  EXPECT_EQ(trace.shape.layers, 2u);
  EXPECT_EQ(trace.shape.experts, 4u);
  EXPECT_EQ(trace.shape.expert_bytes, 99u);
  EXPECT_THAT(VisitsOf(trace),
              ElementsAre("0/5/0/2", "0/5/0/2", "0/5/1/2", "1/7/0/1"));
  EXPECT_THAT(trace.ExpertsOf(trace.visits[2]), ElementsAre(3, 1, 0, 2));
  EXPECT_EQ(trace.weights[1], 0.25F);
  EXPECT_EQ(trace.visits[0].slots_lent, 9U);
  EXPECT_EQ(trace.visits[1].slots_lent, 0U);
}

TEST(RoutingTraceTest, NamesTheLineOfWhatIsWrong) {
  const struct {
    std::string text;
    const char* line;
    const char* what;
  } cases[] = {
      {"", "line 0", "column line"},
      {"phase\n", "line 1", "column line"},
      {"# layers=3\n", "line 1", "column line"},
      {"# layers=3\nphase,token,layer,experts,weights\n", "line 2",
       "expert_bytes="},
      {"# layers=0\n", "line 1", "layers is not a number from 1"},
      {"# layers=65537\n", "line 1", "layers is not a number from 1"},
      {"# layers=3x\n", "line 1", "layers is not a number from 1"},
      {"# experts=-1\n", "line 1", "experts is not a number from 1"},
      {"# expert_bytes=99999999999999999999\n", "line 1",
       "expert_bytes is not"},
      {"# layers=65536 experts=65536 expert_bytes=1\n"
       "phase,token,layer,experts,weights\n",
       "line 2", "more than 16777216"},
      {kHead + "0,0,0,1\n", "line 4", "five fields"},
      {kHead + "0,0,0,1,1,1\n", "line 4", "five fields"},
      {kHead + "2,0,0,1,1\n", "line 4", "phase"},
      {kHead + ",0,0,1,1\n", "line 4", "phase"},
      {kHead + "0,-1,0,1,1\n", "line 4", "token"},
      {kHead + "0,9999999999,0,1,1\n", "line 4", "token"},
      {kHead + "0,0,3,1,1\n", "line 4", "layer is not a number below 3"},
      {kHead + "0,0,0,8,1\n", "line 4", "expert is not a number below 8"},
      {kHead + "0,0,0,1  2,1 1\n", "line 4", "expert is not a number"},
      {kHead + "0,0,0,,\n", "line 4", "0 experts"},
      {kHead + "0,0,0,1 1,1 1\n", "line 4", "twice"},
      {kHead + "0,0,0,1 2,1 1\n0,1,0,1,1\n", "line 5", "first row has 2"},
      {kHead + "0,0,0,1 2,1\n", "line 4", "one weight for each"},
      {kHead + "0,0,0,1 2,1 1 1\n", "line 4", "one weight for each"},
      {kHead + "0,0,0,1,nan\n", "line 4", "finite"},
      {kHead + "0,0,0,1,inf\n", "line 4", "finite"},
      {kHead + "0,0,0,1,x\n", "line 4", "finite"},
  };
  for (const auto& c : cases) {
    const auto trace = ParseTrace(c.text, "t.csv");
    ASSERT_FALSE(trace.has_value()) << c.text;
    EXPECT_EQ(trace.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(trace.error().message,
                AllOf(HasSubstr("t.csv: "), HasSubstr(c.line),
                      HasSubstr(c.what), Not(HasSubstr("\n"))));
  }
  const auto empty = ParseTrace(kHead, "t.csv");
  ASSERT_FALSE(empty.has_value());
  EXPECT_EQ(empty.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(empty.error().message, HasSubstr("no rows"));
}

}  // namespace
}  // namespace sluice
