// What a configuration says of each layer, and which variants are refused.
#include "engine/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/gguf_builder.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

class ModelConfigTest : public ::testing::Test {
 protected:
  // The keys that every model has.
  static test::GgufBuilder Keys(const std::string& architecture) {
    test::GgufBuilder builder;
    builder.String("general.architecture", architecture);
    const std::string prefix = architecture + ".";
    builder.Uint32(prefix + "block_count", 6)
        .Uint32(prefix + "embedding_length", 64)
        .Uint32(prefix + "attention.head_count", 4)
        .Uint32(prefix + "attention.head_count_kv", 2)
        .Uint32(prefix + "expert_count", 8)
        .Uint32(prefix + "expert_used_count", 2)
        .Uint32(prefix + "expert_feed_forward_length", 32)
        .Uint32(prefix + "context_length", 128)
        .Number(prefix + "attention.layer_norm_rms_epsilon",
                storage::GgufType::kFloat32, 1e-6F)
        .Tensor("token_embd.weight", storage::TensorType::kF32, {64, 16});
    return builder;
  }
  static test::GgufBuilder SmallThinker(std::uint32_t gating) {
    test::GgufBuilder builder = Keys("smallthinker");
    builder.Uint32("smallthinker.expert_gating_func", gating);
    return builder;
  }

  Result<ModelConfig> Read(const test::GgufBuilder& builder) {
    const auto gguf =
        storage::GgufFile::Open(folder_.Write("model.gguf", builder.File()));
    EXPECT_TRUE(gguf) << gguf.error().message;
    return ReadModelConfig(*gguf);
  }
  void ExpectUnsupported(const test::GgufBuilder& builder,
                         const std::string& what) {
    const auto config = Read(builder);
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(config.error().message, HasSubstr("model.gguf: "));
    EXPECT_THAT(config.error().message, HasSubstr(what));
    EXPECT_EQ(config.error().message.find('\n'), std::string::npos);
  }

  test::ScratchFolder folder_;
};

TEST_F(ModelConfigTest, Qwen3RoutesAfterAttentionAndSeesAll) {
  const auto config = Read(Keys("qwen3moe"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->activation, Activation::kSilu);
  EXPECT_EQ(config->gating, Gating::kSoftmax);
  EXPECT_EQ(config->router_input, RouterInput::kAfterAttention);
  EXPECT_TRUE(config->head_norms);
  for (std::size_t layer = 0; layer < 6; ++layer) {
    EXPECT_TRUE(config->Rotates(layer)) << layer;
    EXPECT_FALSE(config->Windowed(layer)) << layer;
  }
}

TEST_F(ModelConfigTest, SmallThinkerWithAWindowHasAGlobalLayerInFour) {
  auto builder = SmallThinker(2);
  builder.Uint32("smallthinker.attention.sliding_window", 40);
  const auto config = Read(builder);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->activation, Activation::kRelu);
  EXPECT_EQ(config->gating, Gating::kSigmoid);
  EXPECT_EQ(config->router_input, RouterInput::kLayerInput);
  EXPECT_FALSE(config->head_norms);
  EXPECT_EQ(config->window, 40U);
  std::vector<bool> windowed;
  for (std::size_t layer = 0; layer < 6; ++layer) {
    windowed.push_back(config->Windowed(layer));
    EXPECT_EQ(config->Rotates(layer), config->Windowed(layer)) << layer;
  }
  EXPECT_EQ(windowed,
            (std::vector<bool>{false, true, true, true, false, true}));
}

TEST_F(ModelConfigTest, SmallThinkerWithoutAWindowRotatesEverywhere) {
  auto zero = SmallThinker(1);
  zero.Uint32("smallthinker.attention.sliding_window", 0);
  for (const test::GgufBuilder& builder : {SmallThinker(1), zero}) {
    const auto config = Read(builder);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->gating, Gating::kSoftmax);
    for (std::size_t layer = 0; layer < 6; ++layer) {
      EXPECT_TRUE(config->Rotates(layer)) << layer;
      EXPECT_FALSE(config->Windowed(layer)) << layer;
    }
  }
}

TEST_F(ModelConfigTest, UnsupportedVariantsAreNamed) {
  ExpectUnsupported(Keys("llama"), "architecture 'llama'");
  ExpectUnsupported(SmallThinker(3), "smallthinker.expert_gating_func 3");
  const auto windowed = [] {
    auto builder = SmallThinker(2);
    builder.Uint32("smallthinker.attention.sliding_window", 40);
    return builder;
  };
  auto pattern = windowed();
  pattern.Uint32("smallthinker.attention.sliding_window_pattern", 6);
  ExpectUnsupported(pattern, "smallthinker.attention.sliding_window_pattern 6");
  auto base = windowed();
  base.Number("smallthinker.rope.freq_base_swa", storage::GgufType::kFloat32,
              100.0F);
  ExpectUnsupported(base, "smallthinker.rope.freq_base_swa 100");
  auto scaled = SmallThinker(2);
  scaled.String("smallthinker.rope.scaling.type", "yarn");
  ExpectUnsupported(scaled, "smallthinker.rope.scaling.type 'yarn'");
}

// What no key says follows from what others say, and has the same limits.
TEST_F(ModelConfigTest, HeadsAreNoLongerThanTheKernelsAllow) {
  for (const std::uint32_t embedding : {1024U, 1U << 17, 8U}) {
    test::GgufBuilder builder;
    const std::string prefix = "qwen3moe.";
    builder.String("general.architecture", "qwen3moe")
        .Uint32(prefix + "block_count", 6)
        .Uint32(prefix + "embedding_length", std::max(16U, embedding))
        .Uint32(prefix + "attention.head_count", embedding == 8 ? 32 : 1)
        .Uint32(prefix + "expert_count", 8)
        .Uint32(prefix + "expert_used_count", 2)
        .Uint32(prefix + "expert_feed_forward_length", 32)
        .Uint32(prefix + "context_length", 128)
        .Number(prefix + "attention.layer_norm_rms_epsilon",
                storage::GgufType::kFloat32, 1e-6F)
        .Tensor("token_embd.weight", storage::TensorType::kF32, {64, 16});
    const auto config = Read(builder);
    ASSERT_FALSE(config) << embedding;
    EXPECT_EQ(config.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(config.error().message, HasSubstr("at most 512"));
  }
}

TEST_F(ModelConfigTest, SmallThinkerMustSayItsGating) {
  const auto config = Read(Keys("smallthinker"));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(config.error().message, HasSubstr("expert_gating_func"));
}

}  // namespace
}  // namespace sluice
