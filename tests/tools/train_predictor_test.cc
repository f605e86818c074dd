// sluice train-predictor: learns a table that beats popularity.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string kText = kTestData + "/model/held.txt";

// The recall with as many guesses as a token uses experts.
double Recall(const nlohmann::json& report) {
  const std::size_t used = report.at("experts_used");
  return report.at("recall").at(used - 1);
}

TEST(TrainPredictor, LearnsATableThatBeatsPopularity) {
  const TestFolder folder;
  const std::string out = folder.Path("stories.predictor");
  const nlohmann::json json =
      RunSluiceJson({"train-predictor", kStories, "--text", kText, "--out", out,
                     "--ctx", "128"});
  EXPECT_GT(json.at("tokens"), 5000);
  EXPECT_GT(json.at("scored_tokens"), 500);
  EXPECT_EQ(json.at("file_bytes"), ReadTestFile(out).size());
  EXPECT_EQ(json.at("transition").at("name"), "transition");
  EXPECT_EQ(json.at("control").at("name"), "frequency");
  EXPECT_GT(Recall(json.at("transition")), Recall(json.at("control")) + 0.1);
  EXPECT_LT(json.at("transition").at("calibration_error"), 0.05);
}

TEST(TrainPredictor, FileDoesNotDependOnHowTheModelRan) {
  const TestFolder folder;
  const std::string text = ReadTestFile(kText).substr(0, 4000);
  const auto train = [&](const char* name, std::vector<std::string> flags) {
    std::vector<std::string> args = {
        "train-predictor", kStories,          "--text", "-",
        "--out",           folder.Path(name), "--ctx",  "100"};
    args.insert(args.end(), flags.begin(), flags.end());
    const CommandResult result = RunSluice(std::move(args), text);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("learned from"));
    return ReadTestFile(folder.Path(name));
  };
  const std::string resident = train("resident", {});
  EXPECT_FALSE(resident.empty());
  const std::string memory = std::to_string(CeilingLike(40 << 20));
  EXPECT_EQ(resident, train("streamed", {"--memory", memory, "--chunk", "7"}));
}

TEST(TrainPredictor, TableGoesToStdoutAlone) {
  const std::string text = ReadTestFile(kText).substr(0, 2000);
  const CommandResult result = RunSluice(
      {"train-predictor", kStories, "--text", "-", "--out", "-", "--ctx", "64"},
      text);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out.substr(0, 8), "sluicetr");
  EXPECT_EQ(result.out.find("learned from"), std::string::npos);
}

TEST(TrainPredictor, TextMustHaveTwoWindows) {
  const TestFolder folder;
  const CommandResult result = RunSluice(
      {"train-predictor", kStories, "--text", "-", "--out", folder.Path("x")},
      "Once upon a time.");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("give a longer text"));
  EXPECT_THAT(ReadTestFile(folder.Path("x")), IsEmpty());
}

}  // namespace
}  // namespace sluice::tools
