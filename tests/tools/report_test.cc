// The commands that report on a model: inspect, plan, eval, bench.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::StartsWith;

TEST(Inspect, ShowsTheShapeOfTheModel) {
  const json object = RunSluiceJson({"inspect", kStories});
  EXPECT_EQ(object["architecture"], "qwen3moe");
  EXPECT_EQ(object["layers"], 8);
  EXPECT_EQ(object["experts"], 32);
  EXPECT_EQ(object["experts_used"], 4);
  EXPECT_EQ(object["vocabulary"], 4096);
  EXPECT_EQ(object["file_bytes"], std::filesystem::file_size(kStories));
  EXPECT_GT(object["expert_bytes"], object["dense_bytes"]);
  std::size_t of_types = 0;
  for (const auto& [type, total] : object["types"].items()) {
    of_types += total["tensors"].get<std::size_t>();
  }
  EXPECT_EQ(of_types, object["tensors"].size());
}

TEST(Inspect, ShowsWhereTheRouterAndTheWindowAre) {
  const std::string model = kTestData + "/quants/smallthinker-Q4_0.gguf";
  const json object = RunSluiceJson({"inspect", model});
  EXPECT_EQ(object["architecture"], "smallthinker");
  EXPECT_EQ(object["routes_before_attention"], true);
  EXPECT_EQ(object["sliding_window"], 8);
  EXPECT_EQ(object["windowed_layers"], 3);
  const CommandResult summary = RunSluice({"inspect", model});
  EXPECT_THAT(summary.out, HasSubstr("before attention"));
  EXPECT_THAT(summary.out, HasSubstr("8 tokens in 3 of 5 layers"));
  EXPECT_EQ(RunSluiceJson({"inspect", kStories})["routes_before_attention"],
            false);
}

TEST(Inspect, TextNamesTensorsAndTypes) {
  const CommandResult summary = RunSluice({"inspect", kStories});
  EXPECT_EQ(summary.exit_code, 0);
  EXPECT_THAT(summary.out, StartsWith("architecture    qwen3moe\n"));
  EXPECT_THAT(summary.out, HasSubstr("Q8_0"));
  const CommandResult tensors = RunSluice({"inspect", kStories, "--tensors"});
  EXPECT_THAT(tensors.out, HasSubstr("\ntoken_embd.weight"));
}

TEST(Inspect, RefusesWhatIsNoModel) {
  const CommandResult outcome =
      RunSluice({"inspect", kTestData + "/model/held.txt"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("held.txt"));
}

TEST(Plan, SaysFloorAndMode) {
  const json large = RunSluiceJson({"plan", kStories, "--memory", "1G"});
  EXPECT_EQ(large["fits"], true);
  EXPECT_EQ(large["mode"], "resident");
  const std::uint64_t bytes = CeilingLike(40 << 20);
  const std::string memory = std::to_string(bytes);
  const json small = RunSluiceJson({"plan", kStories, "--memory", memory});
  EXPECT_EQ(small["mode"], "streaming");
  EXPECT_EQ(small["memory_bytes"], bytes);
  EXPECT_GT(small["slots"], 0);
  EXPECT_LE(small["floor_bytes"], bytes);
  const CommandResult text = RunSluice({"plan", kStories, "--memory", memory});
  EXPECT_THAT(text.out, StartsWith("mode "));
  EXPECT_THAT(text.out, HasSubstr("\nfloor "));
}

TEST(Plan, BelowTheFloorFailsButPrintsIt) {
  const CommandResult outcome = RunSluice({"plan", kStories, "--memory", "3M"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("\nfloor "));
  EXPECT_THAT(outcome.err, HasSubstr("needs at least --memory "));
}

TEST(Eval, GivesThePerplexityOfAText) {
  const TestFolder folder;
  const std::string text = folder.Write(
      "text", ReadTestFile(kTestData + "/model/held.txt").substr(0, 2000));
  const json object = RunSluiceJson({"eval", kStories, "--text", text});
  EXPECT_GT(object["perplexity"], 5);
  EXPECT_LT(object["perplexity"], 500);
  EXPECT_GT(object["tokens"], 200);
  EXPECT_EQ(object["text_bytes"], 2000);
  EXPECT_EQ(object["context"], 256);
  const CommandResult plain = RunSluice({"eval", kStories, "--text", text});
  EXPECT_THAT(plain.out, StartsWith("perplexity "));
  EXPECT_THAT(plain.err, StartsWith("mode: "));
}

TEST(Eval, RefusesAnEmptyTextAndAWindowOfOne) {
  const TestFolder folder;
  const std::string empty = folder.Write("empty", "");
  const CommandResult nothing = RunSluice({"eval", kStories, "--text", empty});
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_THAT(nothing.err, HasSubstr(empty + " is empty"));
  const std::string text = folder.Write("text", "some words");
  const CommandResult one =
      RunSluice({"eval", kStories, "--text", text, "--ctx", "1"});
  EXPECT_EQ(one.exit_code, 2);
  EXPECT_THAT(one.err, HasSubstr("--ctx"));
}

TEST(Bench, JsonHasEveryFieldAndTheBounds) {
  const std::string memory = std::to_string(CeilingLike(40 << 20));
  const json object =
      RunSluiceJson({"bench", kStories, "--prompt-tokens", "8", "--gen-tokens",
                     "4", "--reps", "2", "--stream", "--memory", memory});
  EXPECT_THAT(Keys(object),
              IsSupersetOf({"mode", "threads", "isa", "device", "prompt_tokens",
                            "gen_tokens", "prefill_tokens_per_second",
                            "decode_tokens_per_second", "flash_bytes_per_token",
                            "reads_per_token", "hit_rate",
                            "stall_seconds_per_token", "peak_rss_bytes"}));
  for (const char* bound :
       {"prefill_bound_tokens_per_second", "decode_bound_tokens_per_second",
        "prefill_share", "decode_share", "dram_bytes_per_second",
        "decode_at_once_tokens_per_second", "decode_share_at_once",
        "dram_beside_flash_bytes_per_second",
        "flash_beside_dram_bytes_per_second", "int8_macs_per_second"}) {
    ASSERT_TRUE(object.contains(bound)) << bound;
    EXPECT_GT(object[bound], 0) << bound;
  }
  for (const char* phase : {"prefill_split", "decode_split"}) {
    double shares = 0;
    for (const char* part : {"attention", "router", "experts", "output"}) {
      EXPECT_GT(object[phase]["seconds_per_token"][part], 0) << part;
    }
    for (const auto& [part, share] : object[phase]["share"].items()) {
      shares += share.get<double>();
    }
    EXPECT_NEAR(shares, 1, 1e-9);
  }
  EXPECT_EQ(object["mode"], "streaming");
  EXPECT_EQ(object["prompt_tokens"], 8);
  EXPECT_EQ(object["gen_tokens"], 4);
  EXPECT_EQ(object["repetitions"].size(), 2U);
  std::vector<double> rates;
  for (const json& repetition : object["repetitions"]) {
    EXPECT_GT(repetition["decode_share"], 0);
    EXPECT_GT(repetition["flash_bytes_per_second"], 0);
    rates.push_back(repetition["dram_bytes_per_second"]);
  }
  // Each measured around its own repetition; the median of two is their mean.
  EXPECT_NE(rates[0], rates[1]);
  EXPECT_DOUBLE_EQ(object["dram_bytes_per_second"], (rates[0] + rates[1]) / 2);
  EXPECT_GT(object["decode_tokens_per_second"], 0);
  EXPECT_GT(object["prefill_flash_bytes"], 0);
  EXPECT_GT(object["flash_bytes_per_second"], 0);
  const double planned = object["planned_decode_tokens_per_second"];
  EXPECT_GT(planned, 0);
  EXPECT_NEAR(object["planned_over_measured"],
              planned / object["decode_tokens_per_second"].get<double>(), 1e-9);
  EXPECT_GT(object["planned_hit_rate"], 0);
  EXPECT_TRUE(object["planned_from_measured_speeds"].is_boolean());
}

TEST(Bench, NothingDecodedHasNoDecodeRate) {
  const json object = RunSluiceJson({"bench", kStories, "--prompt-tokens", "4",
                                     "--gen-tokens", "0", "--reps", "1"});
  EXPECT_TRUE(object["decode_tokens_per_second"].is_null());
  EXPECT_TRUE(object["hit_rate"].is_null());
  EXPECT_TRUE(object["decode_share"].is_null());
  EXPECT_TRUE(object["planned_over_measured"].is_null());
  EXPECT_GT(object["planned_decode_tokens_per_second"], 0);
  EXPECT_GT(object["prefill_share"], 0);
  EXPECT_TRUE(object["flash_bytes_per_second"].is_null());  // resident
  EXPECT_TRUE(object["decode_share_at_once"].is_null());
  EXPECT_GT(object["prefill_tokens_per_second"], 0);
}

TEST(Bench, TextIsATableOfMedians) {
  const CommandResult outcome = RunSluice(
      {"bench", kStories, "--prompt-tokens", "4", "--gen-tokens", "2"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("median"));
  EXPECT_THAT(outcome.out, HasSubstr("\ndecode tokens/s "));
  EXPECT_THAT(outcome.out, HasSubstr("\nms per token "));
  EXPECT_THAT(outcome.out, HasSubstr("\nplan: decode "));
  EXPECT_THAT(outcome.out, HasSubstr("3 repetitions"));
}

}  // namespace
}  // namespace sluice::tools
