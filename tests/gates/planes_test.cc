// Gate: a container of nested weights gives the same bits however it is read,
// loses no more than it may at each level, and reads of the base plane alone
// bring its bytes and no others.

#include <gmock/gmock.h>

#include "engine/container_api.h"
#include "engine/sluice.h"
#include "tests/gates/gate_support.h"
#include "tests/support/shared_planes.h"

namespace sluice::gates {
namespace {

// Planes fitted to a text.
std::string RepackPlanes(const TestFolder& folder,
                         const std::string& calibration,
                         const std::string& name) {
  RepackModelOptions options;
  options.input = kStories;
  options.output = folder.Path(name);
  options.planes = true;
  options.calibration_text = calibration;
  options.compress = CompressExperts::kNever;
  const auto report = RepackModel(options);
  EXPECT_TRUE(report) << report.error().message;
  return options.output;
}

nlohmann::json Eval(const std::string& model,
                    const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = {
      "eval",       model,       "--text", kTestData + "/model/held.txt",
      "--no-probe", "--no-exact"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return tools::RunSluiceJson(arguments);
}

TEST(Planes, LosesNoMoreThanItMay) {
  if (SLUICE_SANITIZED) GTEST_SKIP() << "takes minutes, for the same number";
  const std::string planes = testing_support::SharedPlanes(kStories);
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
  const std::string text = tools::ReadTestFile(kTestData + "/model/held.txt")
                               .substr(0, SLUICE_SANITIZED ? 400 : 4000);
  const auto bytes = [&](const std::string& calibration, const char* name) {
    return tools::ReadTestFile(RepackPlanes(folder, calibration, name));
  };
  const std::string alike =
      tools::ReadTestFile(testing_support::SharedPlanes(kStories));
  const std::string once = bytes(text, "once.sluice");
  EXPECT_EQ(once.size(), alike.size());
  EXPECT_TRUE(once != alike);
  if (SLUICE_SANITIZED) return;  // the rest takes minutes
  EXPECT_TRUE(once == bytes(text, "twice.sluice"));
  const auto base = Eval(folder.Path("once.sluice"), {"--precision", "base"});
  EXPECT_LT(base.at("perplexity"), 51.59);
}

TEST(Planes, SameBitsHoweverTheyAreRead) {
  const TestFolder folder;
  const std::string planes = testing_support::SharedPlanes(kStories);
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
  const std::string planes = testing_support::SharedPlanes(kStories);
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

TEST(Planes, ReadOrdersGiveTheSameBits) {
  const TestFolder folder;
  const std::string planes = testing_support::SharedPlanes(kStories);
  const std::string tokens = WriteHeldTokens(folder, 60);
  const LogitsRun expected = RunLogits(folder, planes, tokens, {});
  const std::string memory = std::to_string(tools::CeilingLike(30 << 20));
  for (const std::string order : {"named", "index", "hottest", "planes"}) {
    const LogitsRun run =
        RunLogits(folder, planes, tokens,
                  {"--stream", "--chunk", "20", "--memory", memory,
                   "--predictor", "none", "--read-order", order});
    EXPECT_TRUE(run.bytes == expected.bytes) << order;
    ASSERT_TRUE(run.report.is_object());
    EXPECT_EQ(run.report.at("reordered") > 0, order != "named") << order;
    // Bases first, and then what each lacks: two reads of an expert.
    const auto misses = run.report.at("expert_misses").get<std::uint64_t>();
    EXPECT_EQ(run.report.at("upgrades"), order == "planes" ? misses : 0);
    EXPECT_EQ(run.report.at("flash_reads"),
              order == "planes" ? 2 * misses : misses)
        << order;
  }
}

TEST(Planes, AtT1OfOneTheRuleChangesNothing) {
  const TestFolder folder;
  const std::string planes = testing_support::SharedPlanes(kStories);
  const std::string tokens = WriteHeldTokens(folder, 60);
  const LogitsRun expected = RunLogits(folder, planes, tokens, {});
  const LogitsRun run = RunLogits(folder, planes, tokens,
                                  {"--stream", "--t1", "1", "--t2", "1",
                                   "--chunk", "1", "--prefetch", "always"});
  EXPECT_TRUE(run.bytes == expected.bytes);
  ASSERT_TRUE(run.report.is_object());
  EXPECT_GT(run.report.at("prefetch_issued"), 0);
  EXPECT_EQ(run.report.at("prefetch_bases"), 0);
  EXPECT_EQ(run.report.at("base_loads"), 0);
  EXPECT_EQ(run.report.at("upgrades"), 0);
  EXPECT_EQ(run.report.at("skips"), 0);
  EXPECT_EQ(run.report.at("lossy"), false);
}

TEST(Planes, ExpertsOfLowestWeightAreLeftOut) {
  const TestFolder folder;
  const std::string tokens = WriteHeldTokens(folder, 60);
  // Without planes there is whole or nothing.
  for (const std::string& model :
       {testing_support::SharedPlanes(kStories), kStories}) {
    const std::string t1 = model == kStories ? "0.8" : "0.5";
    const LogitsRun run = RunLogits(folder, model, tokens,
                                    {"--stream", "--t1", t1, "--t2", "0.8",
                                     "--predictor", "none", "--chunk", "1"});
    ASSERT_TRUE(run.report.is_object());
    const auto count = [&](const char* name) {
      return run.report.at(name).get<std::uint64_t>();
    };
    EXPECT_GT(count("skips"), 0u);
    EXPECT_LT(count("skips"), count("expert_misses"));
    EXPECT_EQ(count("base_loads") > 0, model != kStories);
    EXPECT_EQ(run.report.at("lossy"), true);
  }
}

// With room for everything each byte is read once: what was base at first and
// is needed whole later is brought by its residual plane alone.
TEST(Planes, ExpertsOfLowWeightAreReadAsBasesAndUpgraded) {
  const TestFolder folder;
  const std::string planes = testing_support::SharedPlanes(kStories);
  const std::string tokens = WriteHeldTokens(folder, 100);
  const LogitsRun run = RunLogits(
      folder, planes, tokens,
      {"--stream", "--t1", "0.5", "--predictor", "none", "--chunk", "1"});
  ASSERT_TRUE(run.report.is_object());
  const auto count = [&](const char* name) {
    return run.report.at(name).get<std::uint64_t>();
  };
  EXPECT_EQ(count("evictions"), 0u);
  EXPECT_GT(count("base_loads"), 0u);
  EXPECT_GT(count("upgrades"), 0u);
  EXPECT_LE(count("upgrades"), count("base_loads"));
  const std::uint64_t whole = count("expert_misses") - count("base_loads");
  EXPECT_EQ(count("flash_bytes"), 65536 * count("expert_misses") +
                                      53248 * (whole + count("upgrades")));
  EXPECT_EQ(run.report.at("precision"), "by weight");
  EXPECT_EQ(run.report.at("lossy"), true);
}

TEST(Planes, GuessesOfLowWeightAreReadAsBases) {
  const TestFolder folder;
  const std::string planes = testing_support::SharedPlanes(kStories);
  const std::string tokens = WriteHeldTokens(folder, 100);
  const LogitsRun run = RunLogits(
      folder, planes, tokens,
      {"--stream", "--t1", "0.5", "--prefetch", "always", "--chunk", "1"});
  ASSERT_TRUE(run.report.is_object());
  const auto count = [&](const char* name) {
    return run.report.at(name).get<std::uint64_t>();
  };
  EXPECT_GT(count("prefetch_bases"), 0u);
  EXPECT_LT(count("prefetch_bases"), count("prefetch_issued"));
  EXPECT_LE(count("prefetch_bases"), count("base_loads"));
  // Each load and each upgrade is a read; a cancelled one may bring nothing.
  const std::uint64_t loads = count("flash_reads") - count("upgrades");
  EXPECT_LE(count("flash_bytes"),
            65536 * loads +
                53248 * (loads - count("base_loads") + count("upgrades")));
}

// The logits of each token of [300, 700) as the first of a text, after all of
// them have been through once; `counters` of the first round.
std::vector<std::vector<float>> SecondRound(const std::string& planes, float t1,
                                            Counters& counters) {
  EngineOptions options;
  options.force_streaming = true;
  options.prefill_chunk = 1;
  options.predictor = "none";
  options.t1 = t1;
  const auto engine = Engine::Open(planes, options);
  EXPECT_TRUE(engine) << engine.error().message;
  const auto session = (*engine)->NewSession();
  std::vector<std::vector<float>> logits;
  for (const bool second : {false, true}) {
    if (second) counters = (*engine)->counters();
    logits.clear();
    for (TokenId token = 300; token < 700; ++token) {
      (*session)->Reset();
      const auto done =
          (*session)->Evaluate(std::vector<TokenId>{token},
                               [&](std::size_t, std::span<const float> row) {
                                 logits.emplace_back(row.begin(), row.end());
                                 return true;
                               });
      EXPECT_TRUE(done) << done.error().message;
    }
  }
  return logits;
}

// A token all of whose experts other tokens have needed whole has the logits
// of whole experts, though most were bases before.
TEST(Planes, UpgradedExpertsGiveTheBitsOfWholeOnes) {
  const std::string planes = testing_support::SharedPlanes(kStories);
  Counters by_weight;
  Counters whole;
  const auto some = SecondRound(planes, 0.5F, by_weight);
  const auto all = SecondRound(planes, 1.0F, whole);
  EXPECT_GT(by_weight.upgrades, 20u);
  EXPECT_EQ(whole.upgrades, 0u);
  ASSERT_EQ(some.size(), all.size());
  std::size_t same = 0;
  for (std::size_t i = 0; i < some.size(); ++i) same += some[i] == all[i];
  EXPECT_GT(same, some.size() / 2);
}

TEST(Planes, TheModeSaysWhatIsLost) {
  const std::string planes = testing_support::SharedPlanes(kStories);
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
  const auto without =
      RunSluice({"run", kStories, "-p", "Once", "-n", "1", "--t1", "0.5"});
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_THAT(without.err, ::testing::HasSubstr("--planes"));
  const auto skipping = RunSluice({"run", kStories, "-p", "Once", "-n", "1",
                                   "--stream", "--t1", "0.5", "--t2", "0.5"});
  EXPECT_THAT(skipping.err, ::testing::HasSubstr("skipped by weight (lossy)"));
  const auto reversed = RunSluice(
      {"run", planes, "-p", "Once", "-n", "1", "--t1", "0.5", "--t2", "0.4"});
  EXPECT_EQ(reversed.exit_code, 2);
  EXPECT_THAT(reversed.err, ::testing::HasSubstr("t1 no more than t2"));
}

}  // namespace
}  // namespace sluice::gates
