#include "storage/gguf.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/gguf_builder.h"
#include "tests/support/gguf_invariants.h"

namespace sluice::storage {
namespace {

using test::GgufBuilder;
using ::testing::ElementsAre;
using ::testing::Optional;

const std::string kSource = SLUICE_SOURCE_DIR;
const std::string kData = kSource + "/tests/data/";

GgufFile OpenOrDie(const std::string& path) {
  auto gguf = GgufFile::Open(path);
  EXPECT_TRUE(gguf) << gguf.error().message;
  return std::move(gguf).value();
}

GgufFile ParseOrDie(const GgufBuilder& builder) {
  auto gguf = GgufFile::Parse(builder.Header(), builder.file_bytes(), "t.gguf");
  EXPECT_TRUE(gguf) << gguf.error().message;
  return std::move(gguf).value();
}

struct QuantFile {
  const char* name;
  TensorType gate;  // of layer 0
  TensorType down;
};

class GgufOfQuant : public ::testing::TestWithParam<QuantFile> {};

TEST_P(GgufOfQuant, IsRead) {
  const auto gguf =
      OpenOrDie(kData + "quants/micro-" + GetParam().name + ".gguf");
  EXPECT_EQ(test::BrokenInvariant(gguf), "");
  EXPECT_EQ(gguf.version(), 3U);
  EXPECT_EQ(gguf.tensors().size(), 27U);
  EXPECT_THAT(gguf.Find("general.architecture")->AsString(),
              Optional(std::string_view("qwen3moe")));
  EXPECT_THAT(gguf.Find("qwen3moe.expert_count")->AsUint(), Optional(8U));
  EXPECT_THAT(gguf.Find("qwen3moe.rope.freq_base")->AsFloat(),
              Optional(1000000.0));
  EXPECT_EQ(gguf.Find("tokenizer.ggml.tokens")->size(), 512U);
  EXPECT_EQ(gguf.Find("qwen3moe"), nullptr);
  const GgufTensor* gate = gguf.FindTensor("blk.0.ffn_gate_exps.weight");
  ASSERT_NE(gate, nullptr);
  EXPECT_EQ(gate->type, GetParam().gate);
  EXPECT_THAT(gate->ne, ElementsAre(256U, 256U, 8U, 1U));
  EXPECT_EQ(gguf.FindTensor("blk.0.ffn_down_exps.weight")->type,
            GetParam().down);
  EXPECT_EQ(gguf.FindTensor("blk.0"), nullptr);
  EXPECT_EQ(gguf.FindTensor("zzz"), nullptr);
}

using T = TensorType;
INSTANTIATE_TEST_SUITE_P(
    AllFifteen, GgufOfQuant,
    ::testing::Values(QuantFile{"BF16", T::kBF16, T::kBF16},
                      QuantFile{"F16", T::kF16, T::kF16},
                      QuantFile{"IQ4_NL", T::kIQ4_NL, T::kIQ4_NL},
                      QuantFile{"IQ4_XS", T::kIQ4_XS, T::kIQ4_XS},
                      QuantFile{"MXFP4_MOE", T::kMXFP4, T::kMXFP4},
                      QuantFile{"Q2_K", T::kQ2_K, T::kQ3_K},
                      QuantFile{"Q3_K_M", T::kQ3_K, T::kQ4_K},
                      QuantFile{"Q4_0", T::kQ4_0, T::kQ4_0},
                      QuantFile{"Q4_1", T::kQ4_1, T::kQ4_1},
                      QuantFile{"Q4_K_M", T::kQ4_K, T::kQ4_K},
                      QuantFile{"Q5_0", T::kQ5_0, T::kQ5_0},
                      QuantFile{"Q5_1", T::kQ5_1, T::kQ5_1},
                      QuantFile{"Q5_K_M", T::kQ5_K, T::kQ5_K},
                      QuantFile{"Q6_K", T::kQ6_K, T::kQ6_K},
                      QuantFile{"Q8_0", T::kQ8_0, T::kQ8_0}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(GgufTest, ReadsTheStoriesModel) {
  const auto gguf = OpenOrDie(kSource + "/models/stories-q8_0.gguf");
  EXPECT_EQ(test::BrokenInvariant(gguf), "");
  EXPECT_EQ(gguf.tensors().size(), 99U);
  EXPECT_EQ(gguf.metadata().size(), 26U);
  EXPECT_EQ(gguf.file_bytes()[0], 57792896U);
  EXPECT_EQ(gguf.metadata()[0].first, "general.architecture");
}

TEST(GgufTest, ReadsOffsetsWhereTheFileHasThem) {
  // Offset 300288 of the weights, which begin after a header of 13462 bytes.
  const auto gguf = OpenOrDie(kData + "quants/micro-Q4_K_M.gguf");
  const GgufTensor* norm = gguf.FindTensor("blk.0.attn_q_norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->offset, 13472U + 300288U);
  EXPECT_EQ(norm->bytes, 256U);
  EXPECT_EQ(norm->elements(), 64U);
}

TEST(GgufTest, ReadsVocabulariesWithoutTensors) {
  // The header of the first is 5.9 MB: several reads.
  const auto qwen = OpenOrDie(kData + "tokenizers/qwen3.gguf");
  EXPECT_TRUE(qwen.tensors().empty());
  EXPECT_EQ(qwen.Find("tokenizer.ggml.tokens")->size(), 151936U);
  EXPECT_EQ(test::BrokenInvariant(qwen), "");
  std::string last;
  EXPECT_TRUE(qwen.Find("tokenizer.ggml.merges")
                  ->ForEachString([&](std::size_t index, std::string_view s) {
                    if (index == 1) last = s;
                  }));
  EXPECT_EQ(last, "\xc4\xa0\xc4\xa0 \xc4\xa0\xc4\xa0");
  EXPECT_THAT(qwen.Find("tokenizer.ggml.add_bos_token")->AsBool(),
              Optional(false));

  const auto gpt2 = OpenOrDie(kData + "tokenizers/gpt-2.gguf");
  EXPECT_EQ(gpt2.Find("tokenizer.ggml.tokens")->size(), 50257U);
  EXPECT_EQ(gpt2.Find("tokenizer.ggml.token_type")->AsIntArray()->size(),
            50257U);

  const auto llama = OpenOrDie(kData + "tokenizers/llama-spm.gguf");
  EXPECT_EQ(llama.Find("tokenizer.ggml.scores")->AsFloatArray()->size(),
            32000U);
  EXPECT_THAT(llama.Find("llama.vocab_size")->AsInt(), Optional(32000));
}

TEST(GgufTest, LeavesNothingInThePageCache) {
  const test::ScratchFolder folder;
  const auto vocabulary =
      test::ReadWholeFile(kData + "tokenizers/llama-spm.gguf");
  const std::string path = folder.Write("m.gguf", vocabulary);
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(descriptor, 0);
  ASSERT_EQ(fdatasync(descriptor), 0);
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  void* view =
      mmap(nullptr, vocabulary.size(), PROT_READ, MAP_SHARED, descriptor, 0);
  ASSERT_NE(view, MAP_FAILED);
  const auto cached = [&] {
    std::vector<unsigned char> pages(vocabulary.size() / 4096 + 1);
    EXPECT_EQ(mincore(view, vocabulary.size(), pages.data()), 0);
    return std::count_if(pages.begin(), pages.end(),
                         [](unsigned char page) { return (page & 1) != 0; });
  };
  if (cached() != 0) GTEST_SKIP() << "the file system only has a page cache";
  OpenOrDie(path);
  EXPECT_EQ(cached(), 0);
  munmap(view, vocabulary.size());
  close(descriptor);
}

TEST(GgufTest, ReadsVersion2) {
  GgufBuilder builder;
  builder.Version(2)
      .String("general.architecture", "x")
      .Tensor("t", TensorType::kQ8_0, {64, 3});
  const auto gguf = ParseOrDie(builder);
  EXPECT_EQ(gguf.version(), 2U);
  EXPECT_EQ(gguf.tensors()[0].bytes, 2U * 3 * 34);
}

TEST(GgufTest, ConvertsIntegersThatFit) {
  GgufBuilder builder;
  builder.Number("u8", GgufType::kUint8, std::uint8_t{200});
  builder.Number("i8", GgufType::kInt8, std::int8_t{-2});
  builder.Number("u16", GgufType::kUint16, std::uint16_t{65535});
  builder.Number("i16", GgufType::kInt16, std::int16_t{-300});
  builder.Number("u32", GgufType::kUint32, std::uint32_t{4000000000});
  builder.Number("i32", GgufType::kInt32, std::int32_t{-5});
  builder.Number("u64", GgufType::kUint64, ~std::uint64_t{0});
  builder.Number("i64", GgufType::kInt64,
                 std::numeric_limits<std::int64_t>::min());
  const auto gguf = ParseOrDie(builder);
  const auto uint = [&](const char* key) { return gguf.Find(key)->AsUint(); };
  const auto sint = [&](const char* key) { return gguf.Find(key)->AsInt(); };
  EXPECT_THAT(uint("u8"), Optional(200U));
  EXPECT_THAT(sint("u8"), Optional(200));
  EXPECT_THAT(sint("i8"), Optional(-2));
  EXPECT_EQ(uint("i8"), std::nullopt);
  EXPECT_THAT(uint("u16"), Optional(65535U));
  EXPECT_THAT(sint("i16"), Optional(-300));
  EXPECT_THAT(uint("u32"), Optional(4000000000U));
  EXPECT_THAT(sint("i32"), Optional(-5));
  EXPECT_THAT(uint("u64"), Optional(~std::uint64_t{0}));
  EXPECT_EQ(sint("u64"), std::nullopt);
  EXPECT_THAT(sint("i64"), Optional(std::numeric_limits<std::int64_t>::min()));
  EXPECT_EQ(uint("i64"), std::nullopt);
  EXPECT_EQ(gguf.Find("u8")->AsFloat(), std::nullopt);
  EXPECT_EQ(gguf.Find("u8")->AsBool(), std::nullopt);
  EXPECT_EQ(gguf.Find("u8")->AsString(), std::nullopt);
  EXPECT_EQ(gguf.Find("u8")->AsUintArray(), std::nullopt);
}

TEST(GgufTest, ConvertsFloatsBoolsAndStrings) {
  GgufBuilder builder;
  builder.Number("f32", GgufType::kFloat32, 0.5F);
  builder.Number("f64", GgufType::kFloat64, 1e300);
  builder.Number("yes", GgufType::kBool, std::uint8_t{1});
  builder.String("text", std::string_view("a\0b\n", 4));
  builder.String("empty", "");
  const auto gguf = ParseOrDie(builder);
  EXPECT_THAT(gguf.Find("f32")->AsFloat(), Optional(0.5));
  EXPECT_THAT(gguf.Find("f64")->AsFloat(), Optional(1e300));
  EXPECT_EQ(gguf.Find("f32")->AsInt(), std::nullopt);
  EXPECT_THAT(gguf.Find("yes")->AsBool(), Optional(true));
  EXPECT_EQ(gguf.Find("yes")->AsUint(), std::nullopt);
  EXPECT_THAT(gguf.Find("text")->AsString(),
              Optional(std::string_view("a\0b\n", 4)));
  EXPECT_THAT(gguf.Find("empty")->AsString(), Optional(std::string_view()));
  EXPECT_EQ(gguf.Find("text")->AsBool(), std::nullopt);
}

TEST(GgufTest, ConvertsArrays) {
  GgufBuilder builder;
  builder.Array<std::int32_t>("i32", GgufType::kInt32, {1, -2, 3});
  builder.Array<std::uint16_t>("u16", GgufType::kUint16, {1, 65535});
  builder.Array<float>("f32", GgufType::kFloat32, {1.5F, INFINITY});
  builder.Array<double>("f64", GgufType::kFloat64, {0.25, -INFINITY});
  builder.Array<double>("big", GgufType::kFloat64, {1e300});
  builder.Array<std::uint8_t>("bools", GgufType::kBool, {0, 1});
  builder.StringArray("text", {"a", "", "ccc"});
  builder.Array<std::uint64_t>("none", GgufType::kUint64, {});
  builder.StringArray("no text", {});
  const auto gguf = ParseOrDie(builder);
  const auto find = [&](const char* key) { return *gguf.Find(key); };
  EXPECT_THAT(find("i32").AsIntArray(), Optional(ElementsAre(1, -2, 3)));
  EXPECT_EQ(find("i32").AsUintArray(), std::nullopt);
  EXPECT_EQ(find("i32").AsFloatArray(), std::nullopt);
  EXPECT_EQ(find("i32").AsInt(), std::nullopt);
  EXPECT_THAT(find("u16").AsUintArray(), Optional(ElementsAre(1, 65535)));
  EXPECT_THAT(find("f32").AsFloatArray(),
              Optional(ElementsAre(1.5F, INFINITY)));
  EXPECT_EQ(find("f32").AsIntArray(), std::nullopt);
  EXPECT_THAT(find("f64").AsFloatArray(),
              Optional(ElementsAre(0.25F, -INFINITY)));
  EXPECT_EQ(find("big").AsFloatArray(), std::nullopt);
  EXPECT_EQ(find("bools").AsUintArray(), std::nullopt);
  EXPECT_EQ(find("bools").size(), 2U);
  EXPECT_THAT(find("none").AsUintArray(), Optional(ElementsAre()));
  EXPECT_EQ(find("text").element_type(), GgufType::kString);
  std::vector<std::string> seen;
  const auto keep = [&](std::size_t, std::string_view s) {
    seen.emplace_back(s);
  };
  EXPECT_TRUE(find("text").ForEachString(keep));
  EXPECT_THAT(seen, ElementsAre("a", "", "ccc"));
  EXPECT_TRUE(find("no text").ForEachString(keep));
  EXPECT_FALSE(find("i32").ForEachString(keep));
  EXPECT_EQ(seen.size(), 3U);
}

TEST(GgufTest, PlacesTensorsAtTheFilesAlignment) {
  GgufBuilder builder;
  builder.PlaceAt(4096).Uint32("general.alignment", 4096);
  builder.Tensor("a", TensorType::kF32, {3}).Tensor("b", TensorType::kF16, {5});
  const auto gguf = ParseOrDie(builder);
  EXPECT_EQ(gguf.tensors()[0].offset, 4096U);
  EXPECT_EQ(gguf.tensors()[1].offset, 8192U);
  EXPECT_EQ(gguf.tensors()[1].bytes, 10U);
}

TEST(GgufTest, KeepsItsValuesWhenMoved) {
  GgufBuilder builder;
  builder.String("k", "value");
  GgufFile first = ParseOrDie(builder);
  const GgufFile second = std::move(first);
  EXPECT_THAT(second.Find("k")->AsString(),
              Optional(std::string_view("value")));
}

GgufBuilder Part(std::uint16_t number, std::uint16_t count,
                 std::int32_t tensors) {
  GgufBuilder builder;
  builder.Number("split.no", GgufType::kUint16, number);
  builder.Number("split.count", GgufType::kUint16, count);
  builder.Number("split.tensors.count", GgufType::kInt32, tensors);
  return builder;
}

TEST(GgufTest, ReadsSplitSets) {
  const test::ScratchFolder folder;
  folder.Write("m-00003-of-00003.gguf",
               Part(2, 3, 3).Tensor("c", TensorType::kF32, {7}).File());
  folder.Write("m-00002-of-00003.gguf", Part(1, 3, 3)
                                            .PlaceAt(64)
                                            .Uint32("general.alignment", 64)
                                            .Tensor("b", TensorType::kF32, {5})
                                            .Tensor("a", TensorType::kF32, {3})
                                            .File());
  const auto gguf = OpenOrDie(folder.Write(
      "m-00001-of-00003.gguf", Part(0, 3, 3).String("name", "x").File()));
  EXPECT_EQ(test::BrokenInvariant(gguf), "");
  ASSERT_EQ(gguf.paths().size(), 3U);
  EXPECT_EQ(gguf.paths()[2], folder.Path("m-00003-of-00003.gguf"));
  EXPECT_EQ(gguf.file_bytes().size(), 3U);
  EXPECT_EQ(gguf.FindTensor("a")->file, 1U);
  EXPECT_EQ(gguf.FindTensor("a")->offset % 64, 0U);
  EXPECT_EQ(gguf.FindTensor("c")->file, 2U);
  EXPECT_THAT(gguf.Find("name")->AsString(), Optional(std::string_view("x")));
  // Metadata is the first part's.
  EXPECT_EQ(gguf.Find("general.alignment"), nullptr);
}

}  // namespace
}  // namespace sluice::storage
