// Gate: a container of nested weights gives the same bits however it is read,
// loses no more than it may at each level, and reads of the base plane alone
// bring its bytes and no others.

#include <gmock/gmock.h>

#include "engine/container_api.h"
#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

std::string RepackPlanes(const TestFolder& folder,
                         const std::string& calibration = "",
                         const std::string& name = "planes.sluice") {
  RepackModelOptions options;
  options.input = kStories;
  options.output = folder.Path(name);
  options.planes = true;
  options.calibration_text = calibration;
  const auto report = RepackModel(options);
  EXPECT_TRUE(report) << report.error().message;
  return options.output;
}

nlohmann::json Eval(const std::string& model,
                    const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = {
      "eval", model, "--text", kTestData + "/model/held.txt", "--no-probe"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return tools::RunSluiceJson(arguments);
}

TEST(Planes, LosesNoMoreThanItMay) {
  const TestFolder folder;
  const std::string planes = RepackPlanes(folder);
  // Of the same text with experts quantised by llama.cpp and all else exact:
  // 50.99 as Q4_0 and 51.59 as Q2_K, which has 2.625 bits a weight.
  const auto full = Eval(planes, {});
  EXPECT_LT(full.at("perplexity"), 51.02);
  EXPECT_EQ(full.at("precision"), "full");
  EXPECT_EQ(full.at("lossy"), false);
  const auto base = Eval(planes, {"--precision", "base"});
  EXPECT_LT(base.at("perplexity"), 51.50);
  EXPECT_GT(base.at("perplexity"), full.at("perplexity"));
  EXPECT_EQ(base.at("precision"), "base");
  EXPECT_EQ(base.at("lossy"), true);
}

TEST(Planes, CalibrationFitsOtherPlanesAndAlwaysTheSame) {
  const TestFolder folder;
  const std::string text =
      tools::ReadTestFile(kTestData + "/model/held.txt").substr(0, 4000);
  const auto bytes = [&](const std::string& calibration, const char* name) {
    return tools::ReadTestFile(RepackPlanes(folder, calibration, name));
  };
  const std::string alike = bytes("", "alike.sluice");
  const std::string once = bytes(text, "once.sluice");
  EXPECT_EQ(once.size(), alike.size());
  EXPECT_TRUE(once != alike);
  EXPECT_TRUE(once == bytes(text, "twice.sluice"));
  const auto base = Eval(folder.Path("once.sluice"), {"--precision", "base"});
  EXPECT_LT(base.at("perplexity"), 51.59);
}

TEST(Planes, SameBitsHoweverTheyAreRead) {
  const TestFolder folder;
  const std::string planes = RepackPlanes(folder);
  const std::string tokens = WriteHeldTokens(folder, 60);
  for (const std::string level : {"full", "base"}) {
    const LogitsRun expected =
        RunLogits(folder, planes, tokens, {"--precision", level});
    for (const std::string& isa : AvailableIsas()) {
      const LogitsRun run = RunLogits(folder, planes, tokens,
                                      {"--precision", level, "--isa", isa});
      EXPECT_TRUE(run.bytes == expected.bytes) << level << " " << isa;
    }
    for (const std::string chunk : {"1", "7"}) {
      const LogitsRun run =
          RunLogits(folder, planes, tokens,
                    {"--precision", level, "--stream", "--chunk", chunk});
      EXPECT_TRUE(run.bytes == expected.bytes) << level << " " << chunk;
      ASSERT_TRUE(run.report.is_object());
      EXPECT_GT(run.report.at("expert_misses"), 0);
    }
  }
}

TEST(Planes, TheBaseIsReadAlone) {
  const TestFolder folder;
  const std::string planes = RepackPlanes(folder);
  const std::string tokens = WriteHeldTokens(folder, 40);
  // Bytes of a read: 768 superblocks, of 82 bytes or of 82 and 66, in pages.
  for (const auto& [level, bytes] :
       {std::pair("base", 65536), std::pair("full", 65536 + 53248)}) {
    const LogitsRun run =
        RunLogits(folder, planes, tokens,
                  {"--precision", level, "--stream", "--predictor", "none"});
    ASSERT_TRUE(run.report.is_object());
    const auto misses = run.report.at("expert_misses").get<std::uint64_t>();
    EXPECT_GT(misses, 0u);
    EXPECT_EQ(run.report.at("flash_reads").get<std::uint64_t>(), misses);
    EXPECT_EQ(run.report.at("flash_bytes").get<std::uint64_t>(),
              misses * static_cast<std::uint64_t>(bytes))
        << level;
  }
}

TEST(Planes, TheModeSaysWhatIsLost) {
  const TestFolder folder;
  const std::string planes = RepackPlanes(folder);
  const auto run = [](const std::string& model, const char* level) {
    return RunSluice(
        {"run", model, "-p", "Once", "-n", "1", "--precision", level});
  };
  EXPECT_THAT(run(planes, "base").err,
              ::testing::HasSubstr("base plane alone (lossy)"));
  EXPECT_THAT(run(planes, "full").err,
              ::testing::Not(::testing::HasSubstr("lossy")));
  const auto refused = run(kStories, "base");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, ::testing::HasSubstr("has no planes"));
}

}  // namespace
}  // namespace sluice::gates
