// `sluice tokenize` against the reference's ids, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::HasSubstr;

const std::string kFolder = kTestData + "/tokenizers/";

// The strings of the fixtures, each followed by a separator.
std::vector<std::string> Strings() {
  const std::string text = ReadTestFile(kFolder + "strings.inp");
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> strings;
  std::size_t at = 0;
  for (std::size_t end; (end = text.find(separator, at)) != std::string::npos;
       at = end + separator.size()) {
    strings.push_back(text.substr(at, end - at));
  }
  return strings;
}

// Blanks at the ends of a line mean nothing.
std::string Trim(const std::string& line) {
  const std::size_t first = line.find_first_not_of(' ');
  if (first == std::string::npos) return "";
  return line.substr(first, line.find_last_not_of(' ') - first + 1);
}

class TokenizeFixture : public testing::TestWithParam<std::string> {};

TEST_P(TokenizeFixture, GivesTheReferencesIdsAndTheTextBack) {
  const std::string model = kFolder + GetParam() + ".gguf";
  std::istringstream expected(ReadTestFile(kFolder + GetParam() + ".out"));
  const std::vector<std::string> strings = Strings();
  ASSERT_GT(strings.size(), 40U);
  for (const std::string& text : strings) {
    SCOPED_TRACE(testing::PrintToString(text));
    std::string line;
    ASSERT_TRUE(std::getline(expected, line));
    const CommandResult ids =
        RunSluice({"tokenize", model, "--text", "-"}, text);
    ASSERT_EQ(ids.exit_code, 0) << ids.err;
    EXPECT_EQ(ids.out, Trim(line) + "\n");
    if (Trim(line).empty()) continue;
    const CommandResult back =
        RunSluice({"tokenize", model, "--decode", "-"}, ids.out);
    EXPECT_EQ(back.out, text);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenize, TokenizeFixture,
                         testing::Values("gpt-2", "llama-spm", "qwen3"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(Tokenize, JsonHasThePieces) {
  const CommandResult outcome =
      RunSluice({"tokenize", kFolder + "gpt-2.gguf", "--text", "-", "--json"},
                "Hello world");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto object = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(object["pieces"], (std::vector<std::string>{"Hello", " world"}));
  EXPECT_EQ(object["tokens"].size(), 2U);
}

TEST(Tokenize, SpecialTextIsOneTokenUnlessToldOtherwise) {
  const std::string model = kFolder + "qwen3.gguf";
  const CommandResult special =
      RunSluice({"tokenize", model, "--text", "-"}, "<|im_end|>");
  EXPECT_EQ(special.out, "151645\n");
  const CommandResult plain = RunSluice(
      {"tokenize", model, "--text", "-", "--no-special"}, "<|im_end|>");
  EXPECT_THAT(plain.out, HasSubstr(" "));
}

TEST(Tokenize, AddsBosOnlyWhenAsked) {
  const std::string model = kFolder + "llama-spm.gguf";
  const CommandResult without =
      RunSluice({"tokenize", model, "--text", "-"}, "Hi");
  const CommandResult with =
      RunSluice({"tokenize", model, "--text", "-", "--add-special"}, "Hi");
  EXPECT_EQ(with.out, "1 " + without.out);
}

TEST(Tokenize, BadInputIsNamed) {
  const std::string model = kFolder + "gpt-2.gguf";
  const CommandResult missing =
      RunSluice({"tokenize", model, "--text", "/nowhere/text"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("cannot read /nowhere/text"));
  const CommandResult beyond =
      RunSluice({"tokenize", model, "--decode", "-"}, "1 50257");
  EXPECT_EQ(beyond.exit_code, 1);
  EXPECT_THAT(beyond.err, HasSubstr("entry 2, 50257, is beyond"));
}

}  // namespace
}  // namespace sluice::tools
