#include "engine/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "storage/gguf.h"

namespace sluice {
namespace {

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

}  // namespace
}  // namespace sluice
