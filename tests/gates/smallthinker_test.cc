// Gate: a model whose router reads the layer's input, with ReLU-gated experts,
// layers without positions and windowed layers, gives the reference's logits
// and the same bits however its experts come.
//
// The fixtures' exact logits are the reference engine's, computed in float from
// the same weights expanded to float: smallthinker-Q4_0 has five layers, a
// window of eight positions and sigmoid gating; smallthinker-F16 two layers, no
// window, softmax gating and one matrix for embedding and output.

#include <cmath>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

struct Fixture {
  const char* kind;
  double most;  // RMS error: 1.5 times the reference engine's own
};
std::ostream& operator<<(std::ostream& out, const Fixture& fixture) {
  return out << fixture.kind;
}

class SmallThinker : public ::testing::TestWithParam<Fixture> {
 protected:
  LogitsRun Run(const std::vector<std::string>& flags) const {
    return RunLogits(folder_, Base() + ".gguf",
                     kTestData + "/quants/micro.tokens", flags);
  }
  static std::string Base() {
    return kTestData + "/quants/smallthinker-" + GetParam().kind;
  }

  const TestFolder folder_;
};

TEST_P(SmallThinker, IsTheReferencesOnEveryInstructionSet) {
  const std::vector<float> exact = ReadFloats(Base() + ".exact.f32");
  ASSERT_EQ(exact.size(), 48U * 512U);
  std::string first;
  for (const std::string& isa : AvailableIsas()) {
    const LogitsRun run = Run({"--isa", isa});
    ASSERT_EQ(run.report.at("isa"), isa);
    const std::vector<float> logits = ReadFloats(folder_.Path("logits.f32"));
    ASSERT_EQ(logits.size(), exact.size());
    double sum = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const double error = logits[i] - exact[i];
      sum += error * error;
    }
    const double rms = std::sqrt(sum / static_cast<double>(exact.size()));
    EXPECT_LE(rms, GetParam().most) << isa;
    if (first.empty()) first = run.bytes;
    EXPECT_TRUE(run.bytes == first) << isa << " gives other bits";
  }
}

TEST_P(SmallThinker, StreamsToTheSameBits) {
  const LogitsRun resident = Run({});
  ASSERT_EQ(resident.report.at("mode"), "resident");
  for (const std::string device : {"uring", "pread"}) {
    for (const std::string threads : {"1", "2"}) {
      for (const std::string chunk : {"1", "5", "48"}) {
        const LogitsRun run = Run({"--stream", "--device", device, "--threads",
                                   threads, "--chunk", chunk});
        EXPECT_TRUE(run.bytes == resident.bytes)
            << device << ", " << threads << " threads, chunks of " << chunk;
        EXPECT_EQ(run.report.at("mode"), "streaming");
        EXPECT_GT(run.report.at("expert_misses"), 0);
        EXPECT_GT(run.report.at("flash_reads"), 0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, SmallThinker,
                         ::testing::Values(Fixture{"Q4_0", 1.5 * 0.0085},
                                           Fixture{"F16", 0.001}),
                         [](const auto& test) {
                           return std::string(test.param.kind);
                         });

}  // namespace
}  // namespace sluice::gates
