// `sluice logits`: the file it writes, and what it leaves when it cannot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::HasSubstr;

const std::string kMicro = kTestData + "/quants/micro-Q8_0.gguf";
const std::string kTokens = kTestData + "/quants/micro.tokens";
constexpr std::size_t kVocabulary = 512;
constexpr std::size_t kRowBytes = kVocabulary * sizeof(float);

TEST(Logits, WritesARowOfTheVocabularyPerToken) {
  const TestFolder folder;
  const std::string out = folder.Path("out.f32");
  const CommandResult outcome =
      RunSluice({"logits", kMicro, "--tokens", kTokens, "--out", out});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(ReadTestFile(out).size(), 48 * kRowBytes);
  EXPECT_EQ(folder.CountFiles(), 1U);  // no temporary is left
}

TEST(Logits, StandardStreamsGiveTheSameBytes) {
  const TestFolder folder;
  const std::string tokens = folder.Write("tokens", "\n 5 17\t 300\n");
  const std::string out = folder.Path("out.f32");
  ASSERT_EQ(
      RunSluice({"logits", kMicro, "--tokens", tokens, "--out", out}).exit_code,
      0);
  const CommandResult piped =
      RunSluice({"logits", kMicro, "--tokens", "-", "--out", "-"}, "5 17 300");
  ASSERT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(piped.out.size(), 3 * kRowBytes);
  EXPECT_TRUE(piped.out == ReadTestFile(out));
}

TEST(Logits, KeepsLinksAndDevicesAsTheyAre) {
  const TestFolder folder;
  const std::string target = folder.Write("target", "old");
  const std::string link = folder.Path("link");
  std::filesystem::create_symlink(target, link);
  ASSERT_EQ(RunSluice({"logits", kMicro, "--tokens", "-", "--out", link}, "7")
                .exit_code,
            0);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(ReadTestFile(target).size(), kRowBytes);
  const CommandResult full =
      RunSluice({"logits", kMicro, "--tokens", "-", "--out", "/dev/full"}, "7");
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("cannot write /dev/full: No space left"));
}

TEST(Logits, BadTokensAreNamedAndNothingIsWritten) {
  const TestFolder folder;
  const std::string out = folder.Path("out.f32");
  for (const char* tokens :
       {"", " \n", "1 2 x", "1 2 3.5", "1 -1", "1 512", "99999999999"}) {
    const CommandResult outcome =
        RunSluice({"logits", kMicro, "--tokens", "-", "--out", out}, tokens);
    EXPECT_EQ(outcome.exit_code, 1) << tokens;
    EXPECT_THAT(outcome.err, HasSubstr("sluice logits: standard input"));
    EXPECT_EQ(folder.CountFiles(), 0U) << tokens;
  }
  const CommandResult third = RunSluice(
      {"logits", kMicro, "--tokens", "-", "--out", out}, "1 2 seven 3");
  EXPECT_THAT(third.err, HasSubstr("entry 3, 'seven', is not a token id"));
}

TEST(Logits, UnwritableOutputIsNamed) {
  const CommandResult outcome = RunSluice(
      {"logits", kMicro, "--tokens", kTokens, "--out", "/nowhere/out.f32"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write /nowhere/out.f32"));
}

TEST(Logits, InterruptLeavesNoFile) {
  const TestFolder folder;
  CommandOptions options;
  for (int i = 0; i < 2000; ++i) options.input += " 17";
  // Far from the start, where signals are not handled yet, and from the end.
  options.signal = {.number = SIGINT, .after = std::chrono::milliseconds(500)};
  const CommandResult result = RunSluice(
      {"logits", kStories, "--tokens", "-", "--out", folder.Path("out.f32"),
       "--chunk", "1", "--isa", "scalar", "--threads", "1"},
      options);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(folder.CountFiles(), 0U);
}

}  // namespace
}  // namespace sluice::tools
