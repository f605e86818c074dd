// Gate: keys and values in 8 bits. Lossy, so off unless asked for and said
// wherever results are; but the same bits on every instruction set and however
// the tokens are computed, and near the exact ones.

#include <gmock/gmock.h>

#include <cmath>

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
  EXPECT_EQ(RunSluiceJson(with({})).at("kv"), "f16");
  EXPECT_THAT(RunSluice(with({"--kv", "q8"})).err,
              HasSubstr(", q8 K/V (lossy), "));
  EXPECT_EQ(RunSluiceJson(with({"--kv", "q8"})).at("kv"), "q8");
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
  EXPECT_LT(lossy.at("floor_bytes"), exact.at("floor_bytes"));
}

}  // namespace
}  // namespace sluice::gates
