// Gate: what happens to a model's file while it is used. A read that fails or a
// file that is cut short in the middle of a generation ends it with an error
// that names the file and the place; no wrong text comes out.

#include <filesystem>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

class FileFault : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = folder_.Path("model.gguf");
    std::filesystem::copy_file(kStories, model_);
    options_.force_streaming = true;
  }

  // A little above the floor of this process as it is now.
  Result<std::unique_ptr<Engine>> Open() {
    SLUICE_ASSIGN(const PlanReport plan, PlanModel(model_, options_));
    EngineOptions options = options_;
    options.memory_bytes = plan.floor_bytes + (6 << 20);
    return Engine::Open(model_, options);
  }

  // Generates with `at_token(n)` called after each token.
  Result<GenerateResult> Generate(
      const std::function<void(std::size_t)>& at_token) {
    SLUICE_ASSIGN(const auto engine, Open());
    SLUICE_ASSIGN(const auto session, engine->NewSession());
    GenerateRequest request;
    request.prompt = engine->tokenizer().Encode("Once upon a time");
    request.max_tokens = 60;
    request.sampler.temperature = 0;
    request.ignore_eos = true;
    text_.clear();
    request.on_token = [&](TokenId, std::string_view text) {
      text_ += text;
      at_token(++tokens_);
      return true;
    };
    Result<GenerateResult> result = session->Generate(request);
    if (!result) {
      EXPECT_EQ(session->position(), 0U);
    }
    return result;
  }

  TestFolder folder_;
  std::string model_;
  EngineOptions options_;
  std::string text_;
  std::size_t tokens_ = 0;
};

TEST_F(FileFault, TruncationInMidGenerationIsAnErrorNotText) {
  const auto whole = Generate([](std::size_t) {});
  ASSERT_TRUE(whole) << whole.error().message;
  const std::string expected = text_;
  tokens_ = 0;
  for (const Device device : {Device::kUring, Device::kPread}) {
    options_.device = device;
    tokens_ = 0;
    const auto cut = Generate([&](std::size_t n) {
      if (n == 10) std::filesystem::resize_file(model_, 9 << 20);
    });
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, ErrorCode::kIo);
    EXPECT_NE(cut.error().message.find(model_), std::string::npos)
        << cut.error().message;
    EXPECT_NE(cut.error().message.find("offset"), std::string::npos)
        << cut.error().message;
    EXPECT_EQ(cut.error().message.find('\n'), std::string::npos);
    EXPECT_GE(tokens_, 10U);
    EXPECT_LT(tokens_, 60U);
    EXPECT_EQ(expected.compare(0, text_.size(), text_), 0)
        << "wrong text before the error: " << text_;
    std::filesystem::copy_file(
        kStories, model_, std::filesystem::copy_options::overwrite_existing);
  }
}

TEST_F(FileFault, CommandEndsWithOneLineAndExitCodeOne) {
  std::filesystem::resize_file(model_, 30 << 20);
  const auto result = RunSluice({"run", model_, "-p", "Once"});
  EXPECT_EQ(result.exit_code, 1);
  tools::ExpectOneLine(result.err);
  EXPECT_NE(result.err.find("truncated"), std::string::npos) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(FileFault, EngineRecoversForTheNextRequest) {
  auto engine = Open();
  ASSERT_TRUE(engine) << engine.error().message;
  auto session = (*engine)->NewSession();
  ASSERT_TRUE(session) << session.error().message;
  const std::string full = tools::ReadTestFile(model_);
  GenerateRequest request;
  request.prompt = (*engine)->tokenizer().Encode("Once upon a time");
  request.max_tokens = 20;
  request.sampler.temperature = 0;
  const auto before = (*session)->Generate(request);
  ASSERT_TRUE(before) << before.error().message;
  (*session)->Reset();
  std::filesystem::resize_file(model_, 9 << 20);
  EXPECT_FALSE((*session)->Generate(request));
  std::ofstream(model_, std::ios::binary | std::ios::in | std::ios::out)
      << full;
  const auto after = (*session)->Generate(request);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->text, before->text);
}

}  // namespace
}  // namespace sluice::gates
