// Gate: how keys and values are kept.
//
// In 8 bits: lossy, so off unless asked for and said wherever results are; but
// the same bits on every instruction set and however the tokens are computed,
// and near the exact ones.
//
// In rings, in layers with a window: the bits of a cache that keeps everything,
// in less memory.

#include <gmock/gmock.h>

#include <cmath>
#include <optional>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using tools::RunSluiceJson;

class EightBitKv : public ::testing::Test {
 protected:
  LogitsRun Run(std::vector<std::string> flags) {
    return RunLogits(folder_, kStories, tokens_, flags);
  }

  const TestFolder folder_;
  const std::string tokens_ = WriteHeldTokens(folder_, 100);
};

TEST_F(EightBitKv, IsOffUnlessAskedForAndSaidWhereItIsOn) {
  const std::vector<std::string> run = {"run",  kStories, "-p",
                                        "Once", "-n",     "2"};
  const auto with = [&run](std::vector<std::string> flags) {
    flags.insert(flags.begin(), run.begin(), run.end());
    return flags;
  };
  EXPECT_THAT(RunSluice(with({})).err, Not(HasSubstr("K/V")));
  const nlohmann::json exact = RunSluiceJson(with({}));
  EXPECT_EQ(exact.at("kv"), "f16");
  EXPECT_EQ(exact.at("lossy"), false);
  EXPECT_THAT(RunSluice(with({"--kv", "q8"})).err,
              HasSubstr(", q8 K/V (lossy), "));
  const nlohmann::json lossy = RunSluiceJson(with({"--kv", "q8"}));
  EXPECT_EQ(lossy.at("kv"), "q8");
  EXPECT_EQ(lossy.at("lossy"), true);
}

TEST_F(EightBitKv, IsTheSameOnEveryInstructionSetAndHoweverComputed) {
  const LogitsRun want = Run({"--kv", "q8"});
  EXPECT_EQ(want.report.at("kv"), "q8");
  for (const std::string& isa : AvailableIsas()) {
    EXPECT_TRUE(Run({"--kv", "q8", "--isa", isa}).bytes == want.bytes) << isa;
  }
  for (const std::string chunk : {"1", "7"}) {
    const LogitsRun run =
        Run({"--kv", "q8", "--chunk", chunk, "--threads", "1", "--stream"});
    EXPECT_TRUE(run.bytes == want.bytes) << chunk;
  }
}

TEST_F(EightBitKv, IsNearTheExactLogitsAndNotThem) {
  const LogitsRun exact = Run({});
  EXPECT_EQ(exact.report.at("kv"), "f16");
  const std::vector<float> want = ReadFloats(folder_.Path("logits.f32"));
  const LogitsRun lossy = Run({"--kv", "q8"});
  const std::vector<float> got = ReadFloats(folder_.Path("logits.f32"));
  EXPECT_FALSE(lossy.bytes == exact.bytes) << "the flag did nothing";
  ASSERT_EQ(got.size(), want.size());
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    error += std::pow(double{got[i]} - double{want[i]}, 2);
    size += std::pow(double{want[i]}, 2);
  }
  EXPECT_LT(std::sqrt(error / size), 0.03);
}

// A row of 64 values: 128 bytes, or 64 and two scales.
TEST_F(EightBitKv, ThePlanCountsLess) {
  const auto plan = [](const std::string& format) {
    return RunSluiceJson(
        {"plan", kStories, "--memory", "1G", "--ctx", "1024", "--kv", format});
  };
  const nlohmann::json exact = plan("f16");
  const nlohmann::json lossy = plan("q8");
  EXPECT_EQ(exact.at("kv"), "f16");
  EXPECT_EQ(lossy.at("kv"), "q8");
  const auto bytes = exact.at("kv_bytes").get<std::uint64_t>();
  EXPECT_EQ(lossy.at("kv_bytes"), bytes / 128 * 72);
  // What the program itself takes differs from run to run.
  const auto floor = [](const nlohmann::json& of) {
    return of.at("floor_bytes").get<std::int64_t>() -
           of.at("process_bytes").get<std::int64_t>();
  };
  EXPECT_LT(floor(lossy), floor(exact));
}

// Two layers see every position, three the last eight.
const std::string kWindowed = kTestData + "/quants/smallthinker-Q4_0.gguf";
constexpr std::size_t kContext = 300;
constexpr std::size_t kRowBytes = 32 * 2;

std::vector<TokenId> ManyTokens() {
  std::vector<TokenId> tokens(kContext);
  for (std::size_t i = 0; i < kContext; ++i) {
    tokens[i] = static_cast<TokenId>(i * i * 37 % 511);
  }
  return tokens;
}

TEST(RingKv, GivesTheSameLogitsHoweverAPromptIsCut) {
  const TestFolder folder;
  std::string text;
  for (const TokenId id : ManyTokens()) text += std::to_string(id) + " ";
  const std::string tokens = folder.Write("tokens", text);
  const std::string context = std::to_string(kContext);
  const auto bytes = [&](const std::string& chunk) {
    return RunSluiceJson(
               {"plan", kWindowed, "--ctx", context, "--chunk", chunk})
        .at("kv_bytes")
        .get<std::size_t>();
  };
  constexpr std::size_t kHeads = 2 * 2;  // of keys and of values
  constexpr std::size_t kRows = (kContext + 15) / 16 * 16;  // whole groups
  for (const std::string format : {"f16", "q8"}) {
    const auto run = [&](const std::string& chunk, const std::string& threads) {
      return RunLogits(folder, kWindowed, tokens,
                       {"--ctx", context, "--kv", format, "--chunk", chunk,
                        "--threads", threads})
          .bytes;
    };
    const std::string want = run("300", "2");
    ASSERT_EQ(want.size(), kContext * 512 * sizeof(float));
    for (const std::string chunk : {"1", "5", "64", "65", "200"}) {
      EXPECT_EQ(bytes(chunk), kHeads * kRowBytes * (2 * kRows + 3 * 128))
          << "rows of 128 positions, which wrap twice";
      EXPECT_TRUE(run(chunk, "1") == want) << chunk << ", " << format;
    }
  }
}

// A session on the windowed model, in chunks of 16.
class RingSession : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.context = kContext;
    options.prefill_chunk = 16;
    auto engine = Engine::Open(kWindowed, options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    auto session = engine_->NewSession();
    ASSERT_TRUE(session) << session.error().message;
    session_ = std::move(*session);
  }

  // Logits of tokens [begin, end); cancels at the one called `last`.
  std::vector<float> Evaluate(std::size_t begin, std::size_t end,
                              std::optional<std::size_t> last = {}) {
    const std::vector<TokenId> tokens = ManyTokens();
    std::vector<float> all;
    const auto ran = session_->Evaluate(
        std::span(tokens).subspan(begin, end - begin),
        [&](std::size_t i, std::span<const float> logits) {
          all.insert(all.end(), logits.begin(), logits.end());
          return !last || begin + i != *last;
        });
    EXPECT_EQ(ran.has_value(), !last.has_value());
    return all;
  }
  std::uint64_t TokensRun() const { return engine_->counters().tokens; }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
};

TEST_F(RingSession, IsAsBeforeAfterAnErrorThatOverwroteItsWindow) {
  Evaluate(0, 100);
  const std::vector<float> want = Evaluate(100, 130);
  session_->Reset();
  Evaluate(0, 100);
  Evaluate(100, 300, 290);
  EXPECT_EQ(session_->position(), 100U);
  const std::uint64_t before = TokensRun();
  EXPECT_TRUE(Evaluate(100, 130) == want);
  EXPECT_EQ(TokensRun() - before, 130U) << "the context ran again";
  EXPECT_EQ(session_->position(), 130U);
}

TEST_F(RingSession, RunsNothingAgainAfterAnErrorThatDidNot) {
  Evaluate(0, 200);
  const std::vector<float> want = Evaluate(200, 230);
  session_->Reset();
  Evaluate(0, 200);
  Evaluate(200, 300, 220);
  const std::uint64_t before = TokensRun();
  EXPECT_TRUE(Evaluate(200, 230) == want);
  EXPECT_EQ(TokensRun() - before, 30U);
}

}  // namespace
}  // namespace sluice::gates
