// `sluice replay` on small traces: reports and mistakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Two layers of ten experts; token t of ten uses t mod 3 and t mod 4 + 3.
std::string SmallTrace() {
  std::string text =
      "# layers=2 experts=10 expert_bytes=1048576\n"
      "phase,token,layer,experts,weights\n";
  for (int token = 0; token < 10; ++token) {
    for (int layer = 0; layer < 2; ++layer) {
      text += (token < 2 ? "0," : "1,") + std::to_string(token) + "," +
              std::to_string(layer) + "," + std::to_string(token % 3) + " " +
              std::to_string(token % 4 + 3) + ",0.6 0.4\n";
    }
  }
  return text;
}

class ReplayCommand : public ::testing::Test {
 protected:
  TestFolder folder_;
  std::string trace_ = folder_.Write("trace.csv", SmallTrace());
};

TEST_F(ReplayCommand, EveryPolicyAndSizeAndTheBound) {
  const json report = RunSluiceJson({"replay", trace_});
  EXPECT_EQ(report.at("layers"), 2);
  EXPECT_EQ(report.at("experts"), 10);
  EXPECT_EQ(report.at("experts_used"), 2);
  EXPECT_EQ(report.at("expert_bytes"), 1048576);
  std::vector<std::string> policies;
  std::vector<int> slots;
  for (const json& replay : report.at("replays")) {
    policies.push_back(replay.at("policy"));
    slots.push_back(replay.at("slots"));
  }
  // 5 % is one slot, too few for a token.
  EXPECT_THAT(slots, ElementsAre(2, 2, 2, 2, 2, 2, 2, 5, 5, 5, 5, 5, 5, 5, 10,
                                 10, 10, 10, 10, 10, 10));
  policies.resize(7);
  EXPECT_THAT(policies, ElementsAre("lru", "lfu", "lfru", "hobbit",
                                    "hobbit-precision", "learned", "belady"));
}

TEST_F(ReplayCommand, CountsAndBytes) {
  const json report =
      RunSluiceJson({"replay", trace_, "--policy", "lru", "--slots", "20"});
  ASSERT_EQ(report.at("replays").size(), 2U);
  const json& replay = report.at("replays").at(0);
  EXPECT_EQ(replay.at("policy"), "lru");
  EXPECT_EQ(replay.at("share"), 1.0);
  EXPECT_EQ(replay.at("memory_bytes"), 20 << 20);
  EXPECT_EQ(replay.at("prompt").at("tokens"), 2);
  EXPECT_EQ(replay.at("prompt").at("misses"), 8);
  const json& decode = replay.at("decode");
  EXPECT_EQ(decode.at("tokens"), 8);
  EXPECT_EQ(decode.at("lookups"), 32);
  EXPECT_EQ(decode.at("misses"), 6);
  EXPECT_EQ(decode.at("hits"), 26);
  EXPECT_EQ(decode.at("hit_rate"), 26.0 / 32);
  EXPECT_EQ(decode.at("missed_bytes"), 6 << 20);
  EXPECT_EQ(decode.at("missed_bytes_per_token"), (6 << 20) / 8.0);
  EXPECT_EQ(decode.at("evictions"), 0);
}

TEST_F(ReplayCommand, SizesAsSlotsShareAndMemory) {
  for (const std::vector<std::string>& size :
       {std::vector<std::string>{"--slots", "5"},
        {"--share", "25"},
        {"--memory", "5.9M"}}) {
    std::vector<std::string> args = {"replay", trace_};
    args.insert(args.end(), size.begin(), size.end());
    const json report = RunSluiceJson(args);
    for (const json& replay : report.at("replays")) {
      EXPECT_EQ(replay.at("slots"), 5) << size[0];
    }
  }
}

TEST_F(ReplayCommand, TextHasARowForEach) {
  const CommandResult result = RunSluice({"replay", trace_, "--share", "50"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* text : {"2 layers of 10 experts of 1.0 MiB, 2 per token",
                           "2 prompt and 8 decoded tokens", "lru", "belady",
                           "50.0%", "decode hits"}) {
    EXPECT_THAT(result.out, HasSubstr(text));
  }
  EXPECT_EQ(RunSluice({"replay", "-", "--share", "50"}, SmallTrace()).out,
            result.out);
}

TEST_F(ReplayCommand, MistakesAreOneLine) {
  const struct {
    std::vector<std::string> args;
    int code;
    const char* message;
  } cases[] = {
      {{"replay"}, 2, "TRACE"},
      {{"replay", trace_, "--slots", "4", "--share", "5"}, 2, "only one of"},
      {{"replay", trace_, "--slots", "1"}, 2, "slots"},
      {{"replay", trace_, "--policy", "fifo"}, 2, "--policy"},
      {{"replay", "/nowhere.csv"}, 1, "/nowhere.csv"},
      {{"replay", folder_.Write("bad.csv", SmallTrace() + "1,1,2,1 2,1 1\n")},
       1,
       "bad.csv: line 23: the layer"},
  };
  for (const auto& c : cases) {
    const CommandResult result = RunSluice(c.args);
    EXPECT_EQ(result.exit_code, c.code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr(c.message));
    ExpectOneLine(result.err);
  }
}

TEST_F(ReplayCommand, PredictorsGuessTheSecondHalf) {
  EXPECT_TRUE(RunSluiceJson({"replay", trace_}).at("predictors").empty());
  const json report = RunSluiceJson({"replay", trace_, "--predictor", "all"});
  std::vector<std::string> names;
  for (const json& predictor : report.at("predictors")) {
    names.push_back(predictor.at("name"));
  }
  EXPECT_THAT(names,
              ElementsAre("previous", "frequency", "transition", "exact"));
  EXPECT_EQ(report.at("predictors").at(3).at("recall").at(1), 1);
  EXPECT_EQ(report.at("predictors").at(3).at("precision").at(0), 1);
  const CommandResult text =
      RunSluice({"replay", trace_, "--predictor", "previous"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("recall@2"));
  const CommandResult next =
      RunSluice({"replay", trace_, "--predictor", "next-layer"});
  EXPECT_EQ(next.exit_code, 2);
  EXPECT_THAT(next.err, HasSubstr("one of all, previous"));
}

}  // namespace
}  // namespace sluice::tools
