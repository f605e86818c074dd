// sluice calibrate: a map within its tolerance, and what it says about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/shared_planes.h"
#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::HasSubstr;

class Calibrate : public testing::Test {
 protected:
  Calibrate() {
    text_ = folder_.Write(
        "text", ReadTestFile(kTestData + "/model/held.txt").substr(0, 600));
  }

  // The flags of a run over the short text, and some more.
  std::vector<std::string> Flags(std::vector<std::string> more) {
    std::vector<std::string> flags = {"calibrate", planes_, "--text", text_,
                                      "--ctx",     "32",    "--out",  map_};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }

  const TestFolder folder_;
  const std::string planes_ = testing_support::SharedPlanes(kStories);
  const std::string map_ = folder_.Path("experts.map");
  std::string text_;
};

TEST_F(Calibrate, MapIsWithinItsToleranceAndTheReportSaysHow) {
  const auto json = RunSluiceJson(Flags({"--tolerance", "1"}));
  const double mean = json.at("map_rise_percent");
  const double error = json.at("map_rise_standard_error");
  const double upper = json.at("map_rise_upper_percent");
  EXPECT_LE(upper, 1);
  EXPECT_NEAR(upper, mean + 2 * error, 0.01 * error);
  EXPECT_GT(json.at("base_rise_upper_percent"), json.at("base_rise_percent"));
  EXPECT_GT(json.at("sampled_tokens"), 10);
  EXPECT_GT(json.at("checked_tokens"), 10);
  EXPECT_GE(json.at("checked_windows"), 2);
  EXPECT_EQ(json.at("precision"), "full");
  const auto& ranks = json.at("rank_weights");
  ASSERT_EQ(ranks.size(), 4u);
  double sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    sum += ranks[i].get<double>();
    if (i > 0) {
      EXPECT_LT(ranks[i], ranks[i - 1]);
    }
  }
  EXPECT_NEAR(sum, 1, 1e-4);
  const auto& experts = json.at("experts");
  ASSERT_EQ(experts.size(), 256u);
  std::size_t low = 0;
  double most_low = 0;
  double least_high = 1;
  std::string digits;
  for (const auto& expert : experts) {
    const double divergence = expert.at("divergence");
    if (expert.at("low")) {
      most_low = std::max(most_low, divergence);
    } else {
      least_high = std::min(least_high, divergence);
    }
    EXPECT_NEAR(expert.at("weight_error"), 0.07, 0.03);
    low += expert.at("low").get<bool>();
    digits += expert.at("low") ? '2' : '4';
    if (expert.at("expert") == 31) digits += '\n';
  }
  // The least important are low.
  EXPECT_GT(low, 0u);
  EXPECT_LE(most_low, least_high);
  EXPECT_EQ(json.at("calibrated_low_experts"), low);
  EXPECT_THAT(ReadTestFile(map_), testing::EndsWith("experts 32\n" + digits));
  // What a run with it says.
  const auto eval = RunSluiceJson(
      {"eval", planes_, "--text", text_, "--precision-map", map_});
  EXPECT_EQ(eval.at("low_experts"), low);
  EXPECT_EQ(eval.at("lossy"), low > 0);
  // And what it costs, by a run without.
  const auto exact = RunSluiceJson({"eval", planes_, "--text", text_});
  EXPECT_TRUE(exact.at("exact_perplexity").is_null());
  EXPECT_EQ(eval.at("exact_perplexity"), exact.at("perplexity"));
  EXPECT_NEAR(eval.at("perplexity_change"),
              eval.at("perplexity").get<double>() /
                      exact.at("perplexity").get<double>() -
                  1,
              1e-12);
}

// Of a text whose windows are all the same, what is said of the chosen experts
// is what evaluating the whole text with their map gives, and is sure.
TEST_F(Calibrate, LossIsThatOfTheMap) {
  const std::string line = "Tom saw a red bird and a big cat near the house.\n";
  std::string text;
  for (int i = 0; i < 4; ++i) text += line;
  text_ = folder_.Write("lines", text);
  const auto tokens = [&](const std::string& of) {
    const auto json = RunSluiceJson(
        {"tokenize", planes_, "--text", folder_.Write("part", of)});
    return json.at("tokens").size();
  };
  const std::size_t window = tokens(line);
  ASSERT_EQ(tokens(text), 4 * window);
  const std::string ctx = std::to_string(window);
  const auto json = RunSluiceJson(Flags({"--tolerance", "1000", "--ctx", ctx}));
  EXPECT_EQ(json.at("calibrated_low_experts"), 256);
  EXPECT_EQ(json.at("checked_tokens"), 2 * (window - 1));
  EXPECT_EQ(json.at("map_rise_percent"), json.at("base_rise_percent"));
  EXPECT_NEAR(json.at("map_rise_standard_error"), 0, 1e-6);
  EXPECT_NEAR(json.at("low_uses_share"), 1, 1e-9);
  EXPECT_LT(json.at("bytes_share"), 0.6);
  const auto perplexity = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"eval", planes_, "--text", text_, "--ctx", ctx,
                                 "--no-exact"});
    return RunSluiceJson(flags).at("perplexity").get<double>();
  };
  const double full = perplexity({});
  EXPECT_NEAR(json.at("perplexity"), full, 1e-6);
  const double map =
      full * (1 + json.at("map_rise_percent").get<double>() / 100);
  EXPECT_NEAR(map, perplexity({"--precision-map", map_}), 1e-6);
  EXPECT_NEAR(map, perplexity({"--precision", "base"}), 1e-6);
}

// With a tolerance of nothing all stays exact, and the map is still one.
TEST_F(Calibrate, WithoutToleranceNothingThatRisesIsLow) {
  const auto json = RunSluiceJson(Flags({"--tolerance", "0"}));
  EXPECT_LE(json.at("map_rise_upper_percent"), 0);
  EXPECT_LT(json.at("calibrated_low_experts"), 256);
}

TEST_F(Calibrate, MapDoesNotDependOnHowTheModelRan) {
  const auto map = [&](const std::vector<std::string>& flags) {
    const CommandResult result = RunSluice(Flags(flags));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("experts are low"));
    EXPECT_THAT(result.out, HasSubstr("rank"));
    EXPECT_THAT(result.err, HasSubstr("mode: "));
    return ReadTestFile(map_);
  };
  const std::string resident = map({"--tokens", "32"});
  EXPECT_FALSE(resident.empty());
  const std::string memory = std::to_string(CeilingLike(40 << 20));
  EXPECT_EQ(resident, map({"--tokens", "32", "--memory", memory, "--chunk", "7",
                           "--no-probe"}));
}

TEST_F(Calibrate, RefusalsNameTheCure) {
  const auto refused = [&](const std::vector<std::string>& flags,
                           const char* text) {
    const CommandResult result = RunSluice(flags);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(text));
    ExpectOneLine(result.err);
    EXPECT_EQ(ReadTestFile(map_), "");
  };
  refused({"calibrate", kStories, "--text", text_, "--out", map_},
          "has no planes");
  refused(Flags({"--precision", "base"}), "leave out");
  refused(Flags({"--t1", "0.5"}), "leave out");
  refused(Flags({"--tolerance", "-1"}), "--tolerance");
  refused({"calibrate", planes_, "--out", map_}, "--text");
  // A bound needs windows that differ.
  refused(Flags({"--ctx", "256"}), "three windows of 256");
}

}  // namespace
}  // namespace sluice::tools
