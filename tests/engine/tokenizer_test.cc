#include "engine/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "storage/gguf.h"

namespace sluice {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

std::string DataPath(const std::string& name) {
  return std::string(SLUICE_SOURCE_DIR "/tests/data/tokenizers/") + name;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<Tokenizer> Load(const std::string& path) {
  auto gguf = storage::GgufFile::Open(path);
  if (!gguf) {
    ADD_FAILURE() << gguf.error().message;
    return nullptr;
  }
  auto tokenizer = Tokenizer::FromGguf(*gguf);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    return nullptr;
  }
  return std::move(*tokenizer);
}

std::vector<std::string> TestStrings() {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string all = ReadText(DataPath("strings.inp"));
  std::vector<std::string> strings;
  std::size_t at = 0;
  for (;;) {
    const std::size_t end = all.find(separator, at);
    if (end == std::string::npos) break;
    strings.push_back(all.substr(at, end - at));
    at = end + separator.size();
  }
  return strings;
}

std::vector<std::vector<TokenId>> ExpectedIds(const std::string& name) {
  std::ifstream file(DataPath(name));
  std::vector<std::vector<TokenId>> ids;
  for (std::string line; std::getline(file, line);) {
    std::istringstream numbers(line);
    ids.emplace_back();
    for (TokenId id = 0; numbers >> id;) ids.back().push_back(id);
  }
  return ids;
}

class TokenizerFixture : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerFixture, EncodesAndDecodesEveryString) {
  const std::string name = GetParam();
  const auto tokenizer = Load(DataPath(name + ".gguf"));
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<std::string> strings = TestStrings();
  const auto expected = ExpectedIds(name + ".out");
  ASSERT_EQ(strings.size(), expected.size());
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const auto ids = tokenizer->Encode(strings[i], {.add_special = false});
    EXPECT_EQ(ids, expected[i]) << "string " << i << ": " << strings[i];
    EXPECT_EQ(tokenizer->Decode(ids), strings[i]) << "string " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, TokenizerFixture,
                         testing::Values("qwen3", "gpt-2", "llama-spm"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::erase(name, '-');
                           return name;
                         });

std::string RandomBytes(std::mt19937& random, std::size_t most) {
  // Mostly short runs of one kind, so that words, spaces, broken characters and
  // whole ones all meet.
  static constexpr std::string_view kParts[] = {
      " ",      "  ",     "\n",         "\r\n",   "a",      "The",
      "'s",     "12",     "!",          "\u00E9", "\u4E16", "\U0001F999",
      "\u00A0", "\u0085", "<|im_end|>", "<s>",    "\xE2",   "\xF0\x9F"};
  std::string bytes;
  const std::size_t length = random() % most;
  while (bytes.size() < length) {
    if (random() % 3 == 0) {
      bytes.push_back(static_cast<char>(random()));
    } else {
      bytes += kParts[random() % std::size(kParts)];
    }
  }
  return bytes;
}

TEST_P(TokenizerFixture, AnyBytesComeBack) {
  const auto tokenizer = Load(DataPath(std::string(GetParam()) + ".gguf"));
  ASSERT_NE(tokenizer, nullptr);
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string bytes = RandomBytes(random, 200);
    // The character that stands for a space is one afterwards.
    if (bytes.find("\xE2\x96\x81") != std::string::npos) continue;
    const Tokenizer::EncodeOptions options = {.parse_special = i % 2 == 0,
                                              .add_special = i % 3 == 0};
    const auto ids = tokenizer->Encode(bytes, options);
    // A text that begins with "<s>" looks like one that Encode added.
    if (bytes.starts_with("<s>")) continue;
    ASSERT_EQ(tokenizer->Decode(ids), bytes) << "round " << i;
  }
}

// The heap that long words use and the scan that short ones use must agree, and
// a long word must not take quadratic time.
TEST_P(TokenizerFixture, LongWordsAreLinearAndEndLikeShortOnes) {
  const auto tokenizer = Load(DataPath(std::string(GetParam()) + ".gguf"));
  ASSERT_NE(tokenizer, nullptr);
  for (const std::string_view part :
       {"a", "ab", "\u4E16", " ", "\n", "!", "9"}) {
    std::string text;
    while (text.size() < 300000) text += part;
    const auto ids = tokenizer->Encode(text, {.add_special = false});
    EXPECT_EQ(tokenizer->Decode(ids), text) << part;
    EXPECT_LE(ids.size(), text.size() + 1);
  }
}

TEST(QwenTokenizerTest, SpecialTokens) {
  const auto tokenizer = Load(DataPath("qwen3.gguf"));
  ASSERT_NE(tokenizer, nullptr);
  const Tokenizer::EncodeOptions plain = {.parse_special = false};
  EXPECT_THAT(tokenizer->Encode("<|im_start|>Hello<|im_end|>"),
              ElementsAre(151644, 9707, 151645));
  // Control tokens are text without parse_special, user-defined ones are not.
  EXPECT_THAT(tokenizer->Encode("<|im_end|>", plain), Not(Contains(151645)));
  EXPECT_THAT(tokenizer->Encode("<think>Hello</think>", plain),
              ElementsAre(151667, 9707, 151668));
  EXPECT_EQ(tokenizer->Bytes(151645, true), "<|im_end|>");
  EXPECT_EQ(tokenizer->Bytes(151645, false), "");
  EXPECT_EQ(tokenizer->Bytes(151667, false), "<think>");
  EXPECT_EQ(tokenizer->Bytes(151935, true), "");  // padding
  const std::vector<TokenId> ids = {151644, 9707, 151645};
  EXPECT_EQ(tokenizer->Decode(ids, false), "Hello");
}

// Of embeddings with more rows than the tokenizer has tokens.
TEST(QwenTokenizerTest, IdsBeyondTheVocabularyHaveNoText) {
  const auto tokenizer = Load(DataPath("qwen3.gguf"));
  ASSERT_NE(tokenizer, nullptr);
  for (const TokenId id : {151936, 152064, 1 << 24}) {
    EXPECT_EQ(tokenizer->Bytes(id, true), "");
    EXPECT_EQ(tokenizer->Decode(std::vector<TokenId>{9707, id, 9707}, true),
              "HelloHello");
    Detokenizer detokenizer(*tokenizer);
    EXPECT_EQ(detokenizer.Push(id), "");
    EXPECT_EQ(detokenizer.Push(9707), "Hello");
    EXPECT_FALSE(tokenizer->IsEndOfGeneration(id));
  }
}

TEST(QwenTokenizerTest, PropertiesOfTheVocabulary) {
  const auto tokenizer = Load(DataPath("qwen3.gguf"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->size(), 151936);
  EXPECT_EQ(tokenizer->bos(), 151643);
  EXPECT_EQ(tokenizer->eos(), 151645);
  std::vector<TokenId> ends;
  for (TokenId id = 0; id < 151936; ++id) {
    if (tokenizer->IsEndOfGeneration(id)) ends.push_back(id);
  }
  // <|endoftext|>, <|im_end|>, <|fim_pad|>, <|repo_name|>, <|file_sep|>.
  EXPECT_THAT(ends, ElementsAre(151643, 151645, 151662, 151663, 151664));
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(-1));
  EXPECT_LT(tokenizer->memory_bytes(), 10U << 20);
  EXPECT_GT(tokenizer->memory_bytes(), 4U << 20);
}

TEST(SpmTokenizerTest, AddsBosAndASpaceAndTakesThemAway) {
  const auto tokenizer = Load(DataPath("llama-spm.gguf"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("Hello"), ElementsAre(1, 15043));
  EXPECT_THAT(tokenizer->Encode(""), ElementsAre(1));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("Hello")), "Hello");
  EXPECT_THAT(tokenizer->Encode("Hello</s>Hello"),
              ElementsAre(1, 15043, 2, 15043));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("Hello</s>Hello")),
            "Hello</s>Hello");
  EXPECT_EQ(tokenizer->Decode(std::vector{1, 15043, 2, 15043}, false),
            "HelloHello");
  EXPECT_EQ(tokenizer->Bytes(3 + 'A', false), "A");  // <0x41>
  EXPECT_EQ(tokenizer->Bytes(15043, false), " Hello");
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(2));
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(1));
}

TEST(SpmTokenizerTest, StreamsWithoutTheLeadingSpace) {
  const auto tokenizer = Load(DataPath("llama-spm.gguf"));
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "Hello \U0001F999 world";
  Detokenizer detokenizer(*tokenizer);
  std::string streamed;
  for (const TokenId id : tokenizer->Encode(text)) {
    streamed += detokenizer.Push(id);
  }
  EXPECT_EQ(streamed + detokenizer.Finish(), text);
}

}  // namespace
}  // namespace sluice
