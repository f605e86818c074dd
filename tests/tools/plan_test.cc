// What a plan's speed rests on: measured or nominal figures, a trace or a
// model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "engine/sluice.h"
#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string Memory() { return std::to_string(CeilingLike(40 << 20)); }

TEST(Plan, SaysWhatItsSpeedRestsOn) {
  const json plan =
      RunSluiceJson({"plan", kStories, "--memory", Memory(), "--no-probe"});
  EXPECT_EQ(plan["dram_measured"], true);
  EXPECT_EQ(plan["flash_measured"], false);
  EXPECT_EQ(plan["flash_bytes_per_second"],
            MachineSpeeds().flash_bytes_per_second);
  EXPECT_EQ(plan["hit_rate_from_trace"], false);
  for (const char* field :
       {"dram_bytes_per_second", "weights_bytes_per_second",
        "flash_latency_seconds", "decode_bytes",
        "expected_compute_seconds_per_token",
        "expected_stall_seconds_per_token", "expected_tokens_per_second"}) {
    EXPECT_GT(plan[field], 0) << field;
  }
  const CommandResult text =
      RunSluice({"plan", kStories, "--memory", Memory(), "--no-probe"});
  EXPECT_THAT(text.out, HasSubstr("GB/s, measured\n"));
  EXPECT_THAT(text.out, HasSubstr("GB/s, nominal"));
  EXPECT_THAT(text.out, HasSubstr("by a model of routing"));
}

TEST(Plan, MeasuresAContainersFlashInTheShapeThatItRemembers) {
  const TestFolder folder;
  const std::string model = folder.Path("m.sluice");
  ASSERT_EQ(RunSluice({"repack", kStories, model}).exit_code, 0);
  const std::string memory = Memory();
  const json first = RunSluiceJson({"plan", model, "--memory", memory});
  if (first["flash_measured"] == false) {
    GTEST_SKIP() << "no direct reads of " << model;
  }
  EXPECT_THAT(ReadTestFile(model + ".probe"), HasSubstr("\npiece_bytes "));
  const std::string remembered = ReadTestFile(model + ".probe");
  const json second = RunSluiceJson({"plan", model, "--memory", memory});
  EXPECT_EQ(second["flash_measured"], true);
  // What was found one day may be wrong the next.
  EXPECT_NE(second["flash_bytes_per_second"], first["flash_bytes_per_second"]);
  EXPECT_EQ(ReadTestFile(model + ".probe"), remembered);
  EXPECT_GT(second["flash_bytes_per_second"], 0);
}

TEST(Plan, TraceGivesTheHitRateOfItsReplay) {
  const TestFolder folder;
  const std::string trace = folder.Path("t.csv");
  RunSluiceJson({"bench", kStories, "--prompt-tokens", "8", "--gen-tokens",
                 "20", "--reps", "1", "--trace", trace});
  for (const char* policy : {"lru", "lfru"}) {
    const json plan =
        RunSluiceJson({"plan", kStories, "--memory", Memory(), "--trace", trace,
                       "--no-probe", "--policy", policy});
    ASSERT_EQ(plan["mode"], "streaming");
    EXPECT_EQ(plan["hit_rate_from_trace"], true);
    const json replay =
        RunSluiceJson({"replay", trace, "--policy", policy, "--slots",
                       std::to_string(plan["slots"].get<std::size_t>())});
    EXPECT_EQ(plan["expected_hit_rate"],
              replay["replays"][0]["decode"]["hit_rate"]);
    EXPECT_GT(plan["expected_hit_rate"], 0);
    EXPECT_LT(plan["expected_hit_rate"], 1);
  }
  const CommandResult text = RunSluice(
      {"plan", kStories, "--memory", Memory(), "--trace", trace, "--no-probe"});
  EXPECT_THAT(text.out, HasSubstr("of the trace"));
}

TEST(Plan, RefusesATraceThatSaysNothingOfTheModel) {
  const TestFolder folder;
  const std::string columns = "phase,token,layer,experts,weights\n";
  const std::string other =
      folder.Write("other.csv", "# layers=2 experts=8 expert_bytes=10\n" +
                                    columns + "1,0,0,1 2,1 0\n1,0,1,1 2,1 0\n");
  const std::string prompt =
      folder.Write("prompt.csv", "# layers=8 experts=32 expert_bytes=10\n" +
                                     columns + "0,0,0,1 2 3 4,1 0 0 0\n");
  struct Case {
    std::string trace;
    const char* message;
    int exit_code;
  };
  for (const Case& refused : {Case{other, "record a trace of that model", 2},
                              Case{prompt, "has no decoded tokens", 2},
                              Case{folder.Path("none.csv"), "none.csv", 1}}) {
    const CommandResult outcome = RunSluice(
        {"plan", kStories, "--memory", Memory(), "--trace", refused.trace});
    EXPECT_EQ(outcome.exit_code, refused.exit_code);
    EXPECT_THAT(outcome.err, HasSubstr(refused.trace));
    EXPECT_THAT(outcome.err, HasSubstr(refused.message));
    ExpectOneLine(outcome.err);
  }
}

}  // namespace
}  // namespace sluice::tools
