// Gate: results against the reference's, on its fixtures. Errors are against
// logits of the same quantised weights computed in full float precision; the
// reference engine's own error is what quantising activations costs it.

#include <cmath>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

struct Quant {
  const char* name;
  double most;  // RMS error: 1.5 times the reference's
};
constexpr Quant kQuants[] = {
    {"F16", 0.001},
    {"BF16", 1.5 * 0.0086},
    {"Q8_0", 1.5 * 0.0059},
    {"Q4_0", 1.5 * 0.0097},
    {"Q4_1", 1.5 * 0.0069},
    {"Q5_0", 1.5 * 0.0069},
    {"Q5_1", 1.5 * 0.0070},
    {"Q2_K", 1.5 * 0.0078},
    {"Q3_K_M", 1.5 * 0.0079},
    {"Q4_K_M", 1.5 * 0.0078},
    {"Q5_K_M", 1.5 * 0.0121},
    {"Q6_K", 1.5 * 0.0078},
    {"IQ4_NL", 1.5 * 0.0129},
    {"IQ4_XS", 1.5 * 0.0117},
    {"MXFP4_MOE", 1.5 * 0.0058},
};

std::ostream& operator<<(std::ostream& out, const Quant& quant) {
  return out << quant.name;
}

class QuantAccuracy : public ::testing::TestWithParam<Quant> {};

TEST_P(QuantAccuracy, EveryInstructionSet) {
  const TestFolder folder;
  const std::string base = kTestData + "/quants/";
  const std::vector<float> exact =
      ReadFloats(base + GetParam().name + ".exact.f32");
  std::string first;
  for (const std::string& isa : AvailableIsas()) {
    const LogitsRun run =
        RunLogits(folder, base + "micro-" + GetParam().name + ".gguf",
                  base + "micro.tokens", {"--isa", isa});
    ASSERT_EQ(run.report.at("isa"), isa);
    const std::vector<float> logits = ReadFloats(folder.Path("logits.f32"));
    ASSERT_EQ(logits.size(), exact.size());
    double sum = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const double error = logits[i] - exact[i];
      sum += error * error;
    }
    EXPECT_LE(std::sqrt(sum / static_cast<double>(exact.size())),
              GetParam().most)
        << isa;
    if (first.empty()) first = run.bytes;
    EXPECT_TRUE(run.bytes == first) << isa << " gives other bits";
  }
}

INSTANTIATE_TEST_SUITE_P(Types, QuantAccuracy, ::testing::ValuesIn(kQuants),
                         [](const auto& test) {
                           return std::string(test.param.name);
                         });

TEST(Stories, GreedyTextFollowsTheReference) {
  // Until a step that the reference itself finds too close to call.
  constexpr double kClear = 0.05;
  const auto stories = nlohmann::json::parse(
      tools::ReadTestFile(kTestData + "/model/stories.json"));
  auto engine = Engine::Open(kStories, {});
  ASSERT_TRUE(engine) << engine.error().message;
  std::size_t compared = 0;
  for (const auto& story : stories.at("greedy_q8_0")) {
    GenerateRequest request;
    request.prompt = story.at("prompt_tokens").get<std::vector<TokenId>>();
    const auto expected = story.at("greedy").get<std::vector<TokenId>>();
    const auto margin = story.at("margin").get<std::vector<double>>();
    request.max_tokens = expected.size();
    request.sampler.temperature = 0;
    request.ignore_eos = true;
    auto session = (*engine)->NewSession();
    ASSERT_TRUE(session) << session.error().message;
    const auto result = (*session)->Generate(request);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->tokens.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (result->tokens[i] != expected[i]) {
        // From here on the texts are different ones.
        EXPECT_LE(margin[i], kClear) << "step " << i;
        break;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 100U);
}

class StoriesPerplexity
    : public ::testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(StoriesPerplexity, IsTheReferences) {
  if (SLUICE_SANITIZED) {
    GTEST_SKIP() << "minutes long; the other gates run the same code sanitized";
  }
  const auto& [kind, model] = GetParam();
  const auto stories = nlohmann::json::parse(
      tools::ReadTestFile(kTestData + "/model/stories.json"));
  const double expected =
      stories.at("perplexity").at(kind).at("value").get<double>();
  const auto report = tools::RunSluiceJson(
      {"eval", model, "--text", kTestData + "/model/held.txt"});
  EXPECT_NEAR(report.at("perplexity").get<double>(), expected,
              expected * 0.005);
  EXPECT_EQ(report.at("tokens"), stories.at("scored"));
}

INSTANTIATE_TEST_SUITE_P(
    Models, StoriesPerplexity,
    ::testing::Values(std::pair("q8_0", kStories),
                      std::pair("q4_0",
                                kTestData + "/model/stories-q4_0.gguf")),
    [](const auto& test) { return test.param.first; });

}  // namespace
}  // namespace sluice::gates
