// Gate: the logits of a text are the same, bit for bit, however the experts
// came: resident, or streamed under any memory ceiling, cache policy, device,
// number of threads and prefill chunk. Each case also proves by the counters
// that what it names really happened.

#include <filesystem>
#include <iterator>
#include <span>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

// A sanitized process is many times slower; fewer tokens take the same paths.
constexpr std::size_t kTokens = SLUICE_SANITIZED ? 48 : 200;

class ByteIdentity : public ::testing::Test {
 protected:
  // A ceiling of a share of the model.
  static std::uint64_t Percent(unsigned percent) {
    return tools::CeilingLike(std::filesystem::file_size(kStories) * percent /
                              100);
  }

  void SetUp() override {
    tokens_ = WriteHeldTokens(folder_, kTokens);
    reference_ = RunLogits(folder_, kStories, tokens_,
                           {"--memory", std::to_string(Percent(200))});
    ASSERT_EQ(reference_.bytes.size(), kTokens * 4096 * sizeof(float));
    ASSERT_EQ(reference_.report.at("mode"), "resident");
    ASSERT_EQ(reference_.report.at("flash_reads"), 0);
  }

  // Runs with `flags` and checks the bytes.
  nlohmann::json Check(std::vector<std::string> flags,
                       const testing_support::MemoryCgroup* cap = nullptr) {
    const LogitsRun run = RunLogits(folder_, kStories, tokens_, flags, cap);
    EXPECT_TRUE(run.bytes == reference_.bytes)
        << "different logits with " << ::testing::PrintToString(flags);
    return run.report;
  }

  static void ExpectStreamed(const nlohmann::json& report) {
    ASSERT_TRUE(report.is_object());
    EXPECT_EQ(report.at("mode"), "streaming");
    EXPECT_GT(report.at("flash_reads"), 0);
    EXPECT_GT(report.at("expert_misses"), 0);
    EXPECT_GT(report.at("evictions"), 0);
  }
  static void ExpectHits(const nlohmann::json& report) {
    ASSERT_TRUE(report.is_object());
    EXPECT_GT(report.at("expert_hits"), 0);
  }

  std::vector<TokenId> Ids() const {
    std::ifstream file(tokens_);
    return {std::istream_iterator<TokenId>(file), {}};
  }

  TestFolder folder_;
  std::string tokens_;
  LogitsRun reference_;
};

TEST_F(ByteIdentity, MemoryPolicyDeviceThreadsAndChunk) {
  for (const unsigned percent : {30U, 60U}) {
    const std::string memory = std::to_string(Percent(percent));
    for (const std::string policy :
         {"lru", "lfu", "lfru", "hobbit", "hobbit-precision", "learned"}) {
      for (const std::string device : {"uring", "pread"}) {
        for (const std::string threads : {"1", "2"}) {
          const nlohmann::json report =
              Check({"--memory", memory, "--policy", policy, "--device", device,
                     "--threads", threads});
          ExpectStreamed(report);
          EXPECT_EQ(report.at("policy"), policy);
          EXPECT_EQ(report.at("device"),
                    device == "uring" ? "io_uring" : "pread");
          EXPECT_EQ(report.at("threads"), std::stoi(threads));
        }
      }
    }
  }
}

TEST_F(ByteIdentity, PrefillChunks) {
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, kTokens}) {
    for (const unsigned percent : {60U, 200U}) {
      const nlohmann::json report =
          Check({"--memory", std::to_string(Percent(percent)), "--chunk",
                 std::to_string(chunk)});
      EXPECT_EQ(report.at("prefill_chunk"), chunk);
      if (percent == 60) ExpectStreamed(report);
      if (percent == 60 && chunk == 1) ExpectHits(report);
    }
  }
}

// Guesses read ahead, in prompts and token by token, on every device.
TEST_F(ByteIdentity, Prefetch) {
  const std::string memory = std::to_string(Percent(60));
  const nlohmann::json without =
      Check({"--memory", memory, "--predictor", "none"});
  EXPECT_EQ(without.at("predictor"), "");
  EXPECT_EQ(without.at("prefetch_issued"), 0);
  for (const std::string device : {"uring", "pread", "memory"}) {
    for (const std::string chunk : {"1", "16", "200"}) {
      const nlohmann::json report =
          Check({"--memory", memory, "--device", device, "--chunk", chunk,
                 "--predictor", "next-layer", "--prefetch", "always"});
      ExpectStreamed(report);
      EXPECT_EQ(report.at("predictor"), "next-layer");
      EXPECT_GT(report.at("prefetch_issued"), 0);
      EXPECT_GT(report.at("prefetch_useful").get<int>() +
                    report.at("prefetch_late").get<int>(),
                0);
    }
  }
}

// Whatever guesses, right or wrong.
TEST_F(ByteIdentity, EveryPredictor) {
  const std::string table = folder_.Path("stories.predictor");
  const std::string text = folder_.Write(
      "text",
      tools::ReadTestFile(kTestData + "/model/held.txt").substr(0, 4000));
  const auto trained =
      RunSluice({"train-predictor", kStories, "--text", text, "--out", table});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  for (const std::string predictor :
       {"next-layer", "previous", "frequency", "transition"}) {
    const std::string file = predictor == "transition" ? ":" + table : "";
    const nlohmann::json report =
        Check({"--memory", std::to_string(Percent(30)), "--chunk", "1",
               "--predictor", predictor + file, "--prefetch", "always"});
    ExpectStreamed(report);
    EXPECT_EQ(report.at("predictor"), predictor);
    EXPECT_GT(report.at("prefetch_issued"), 0) << predictor;
    EXPECT_GT(report.at("prefetch_useful").get<int>() +
                  report.at("prefetch_late").get<int>(),
              0)
        << predictor;
  }
}

TEST_F(ByteIdentity, MemoryDeviceAndBufferedReads) {
  const std::string memory = std::to_string(Percent(60));
  const nlohmann::json held = Check({"--memory", memory, "--device", "memory"});
  ExpectStreamed(held);
  EXPECT_EQ(held.at("device"), "memory");
  const nlohmann::json buffered = Check({"--memory", memory, "--no-direct"});
  ExpectStreamed(buffered);
  EXPECT_EQ(buffered.at("direct_io"), false);
}

TEST_F(ByteIdentity, OneOfEachInstructionSetEqualsTheBest) {
  for (const std::string& isa : AvailableIsas()) {
    const nlohmann::json report =
        Check({"--memory", std::to_string(Percent(60)), "--isa", isa});
    ExpectStreamed(report);
    EXPECT_EQ(report.at("isa"), isa);
  }
}

// A whole generation: prompt, sampling and text.
TEST(Generation, IsTheSameWithEveryInstructionSet) {
  std::string text;
  for (const std::string& isa : AvailableIsas()) {
    const nlohmann::json story = tools::RunSluiceJson(
        {"run", kStories, "-p", "Once upon a time", "-n", "24", "--temp", "0.8",
         "--seed", "7", "--stream", "--isa", isa});
    EXPECT_EQ(story.at("isa"), isa);
    EXPECT_EQ(story.at("mode"), "streaming");
    EXPECT_EQ(story.at("tokens").size(), 24U);
    if (text.empty()) text = story.at("text");
    EXPECT_EQ(story.at("text"), text) << isa;
  }
  EXPECT_FALSE(text.empty());
}

TEST_F(ByteIdentity, ColdAndWarm) {
  EngineOptions options;
  options.force_streaming = true;
  options.prefill_chunk = 4;
  const auto floor = PlanModel(kStories, options);
  ASSERT_TRUE(floor) << floor.error().message;
  options.memory_bytes = floor->floor_bytes + (20 << 20);
  auto engine = Engine::Open(kStories, options);
  ASSERT_TRUE(engine) << engine.error().message;
  auto session = (*engine)->NewSession();
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<TokenId> tokens = Ids();
  ASSERT_EQ(tokens.size(), kTokens);
  for (const bool warm : {false, true}) {
    const Counters before = (*engine)->counters();
    EXPECT_EQ(before.flash_reads > 0, warm);
    std::string bytes;
    const auto ran = (*session)->Evaluate(
        tokens, [&](std::size_t, std::span<const float> logits) {
          bytes.append(reinterpret_cast<const char*>(logits.data()),
                       logits.size_bytes());
          return true;
        });
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_TRUE(bytes == reference_.bytes) << (warm ? "warm" : "cold");
    EXPECT_GT(((*engine)->counters() - before).expert_hits, 0U);
    (*session)->Reset();
  }
}

TEST_F(ByteIdentity, UnderACapOfTheCeiling) {
  if (SLUICE_SANITIZED) GTEST_SKIP() << "sanitizers need more memory";
  for (const unsigned percent : {30U, 60U}) {
    SLUICE_MEMORY_CGROUP_OR_SKIP(cap, Percent(percent));
    const nlohmann::json report =
        Check({"--memory", std::to_string(Percent(percent))}, cap.get());
    ExpectStreamed(report);
    EXPECT_LE(report.at("peak_rss_bytes"), Percent(percent));
    EXPECT_LE(cap->peak(), Percent(percent));
    EXPECT_EQ(cap->oom_kills(), 0U);
  }
}

}  // namespace
}  // namespace sluice::gates
