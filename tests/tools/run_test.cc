// `sluice run` on the demonstration model: text, JSON, streams and signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using nlohmann::json;
using testing::AnyOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

const std::string kPrompt = "Once upon a time";

std::vector<std::string> Greedy(std::vector<std::string> more) {
  std::vector<std::string> args = {"run", kStories, "--temp", "0"};
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

// More tokens than the tests wait for.
std::vector<std::string> Endless() {
  return Greedy({"-p", kPrompt, "-n", "-1", "--ignore-eos", "--threads", "1"});
}

TEST(Run, PrintsTheCompletionAndNothingElseOnStdout) {
  const CommandResult text = RunSluice(Greedy({"-p", kPrompt, "-n", "12"}));
  ASSERT_EQ(text.exit_code, 0) << text.err;
  const json object = RunSluiceJson(Greedy({"-p", kPrompt, "-n", "12"}));
  EXPECT_EQ(text.out, object["text"].get<std::string>() + "\n");
  EXPECT_EQ(object["tokens"].size(), 12U);
  EXPECT_EQ(object["stop"], "max_tokens");
}

TEST(Run, JsonHasEveryField) {
  const json object =
      RunSluiceJson(Greedy({"-p", kPrompt, "-n", "4", "--stream"}));
  EXPECT_THAT(
      Keys(object),
      IsSupersetOf({"text", "tokens", "prompt_tokens", "gen_tokens", "stop",
                    "mode", "threads", "isa", "device",
                    "prefill_tokens_per_second", "decode_tokens_per_second",
                    "flash_bytes_per_token", "reads_per_token", "hit_rate",
                    "stall_seconds_per_token", "peak_rss_bytes"}));
  EXPECT_EQ(object["mode"], "streaming");
  EXPECT_GT(object["prompt_tokens"], 0);
  EXPECT_GT(object["decode_tokens_per_second"], 0);
  EXPECT_GT(object["peak_rss_bytes"], 1 << 20);
  EXPECT_GE(object["hit_rate"], 0);
  EXPECT_LE(object["hit_rate"], 1);
}

TEST(Run, SaysItsModeOnceAndItsStatisticsUnlessQuiet) {
  const CommandResult loud = RunSluice(Greedy({"-p", kPrompt, "-n", "2"}));
  EXPECT_THAT(loud.err, StartsWith("mode: resident, memory "));
  EXPECT_THAT(loud.err, HasSubstr("\nstats: prompt "));
  const CommandResult quiet =
      RunSluice(Greedy({"-p", kPrompt, "-n", "2", "-q", "--stream"}));
  EXPECT_THAT(quiet.err, StartsWith("mode: streaming, memory "));
  EXPECT_THAT(quiet.err, HasSubstr(" slots of "));
  ExpectOneLine(quiet.err);
}

TEST(Run, PromptComesFromArgumentFileOrStdin) {
  const TestFolder folder;
  const std::string file = folder.Write("prompt", kPrompt + "\n");
  const CommandResult argument = RunSluice(Greedy({"-p", kPrompt, "-n", "6"}));
  const CommandResult from_file = RunSluice(Greedy({"-f", file, "-n", "6"}));
  const CommandResult from_stdin =
      RunSluice(Greedy({"-f", "-", "-n", "6"}), kPrompt);
  ASSERT_EQ(argument.exit_code, 0) << argument.err;
  EXPECT_EQ(from_file.out, argument.out);
  EXPECT_EQ(from_stdin.out, argument.out);
}

TEST(Run, EchoPrintsThePromptFirst) {
  const std::string odd = "[a, b] {c}";  // not a list, not a format
  const CommandResult plain = RunSluice(Greedy({"-p", odd, "-n", "3"}));
  const CommandResult echo =
      RunSluice(Greedy({"-p", odd, "-n", "3", "--echo"}));
  ASSERT_EQ(echo.exit_code, 0) << echo.err;
  EXPECT_EQ(echo.out, odd + plain.out);
}

TEST(Run, FirstInterruptStopsAfterTheTokenWithStatistics) {
  CommandOptions options;
  options.signal = {.number = SIGINT, .after_output_bytes = 1};
  const CommandResult result = RunSluice(Endless(), options);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_THAT(result.err, HasSubstr("stop: interrupted"));
}

TEST(Run, InterruptBeforeTheFirstTokenEndsAtOnce) {
  const TestFolder folder;
  std::string text;
  for (int i = 0; i < 500; ++i) text += " a little dog ran";
  const std::string file = folder.Write("long", text);
  CommandOptions options;  // the echo of the prompt comes after loading
  options.signal = {.number = SIGINT, .after_output_bytes = 1};
  const CommandResult result =
      RunSluice({"run", kStories, "-f", file, "--echo", "--chunk", "1", "--isa",
                 "scalar", "--threads", "1"},
                options);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(result.out, text);
  EXPECT_THAT(result.err, Not(HasSubstr("stats:")));
}

TEST(Run, ReaderWhoLeavesEndsItQuietly) {
  // The exit code goes to stderr, past the reader of one byte.
  std::vector<std::string> arguments = {
      "/bin/sh", "-c", "(\"$@\"; echo code $? >&2) | head -c 1", "sh",
      SLUICE_BINARY};
  for (const std::string& argument : Endless()) arguments.push_back(argument);
  const CommandResult result = testing_support::RunCommand(arguments);
  EXPECT_EQ(result.out.size(), 1U);
  EXPECT_THAT(result.err, EndsWith("code 1\n"));
  EXPECT_THAT(result.err, Not(HasSubstr("sluice")));
}

TEST(Run, BadInputIsOneLineThatNamesIt) {
  const TestFolder folder;
  const std::string empty = folder.Write("empty", "");
  const std::string text = folder.Write("text", "not a model at all, but long");
  const std::vector<std::vector<std::string>> cases = {
      {"run", kStories, "-f", folder.Path("missing")},
      {"run", kStories, "-f", folder.Path(".")},
      {"run", kStories, "-f", empty},
      {"run", folder.Path("missing"), "-p", "x"},
      {"run", folder.Path("."), "-p", "x"},
      {"run", empty, "-p", "x"},
      {"run", text, "-p", "x"},
  };
  for (const auto& args : cases) {
    const CommandResult outcome = RunSluice(args);
    EXPECT_THAT(outcome.exit_code, AnyOf(1, 2));
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, StartsWith("sluice run: "));
    EXPECT_THAT(outcome.err, HasSubstr(args[2] == "-f" ? args[3] : args[1]));
    ExpectOneLine(outcome.err);
  }
}

TEST(Run, TooLittleMemoryNamesTheFloor) {
  const CommandResult outcome =
      RunSluice({"run", kStories, "-p", "x", "--memory", "3M"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("MiB"));
  ExpectOneLine(outcome.err);
}

TEST(Run, PromptLongerThanTheContextIsRefused) {
  const CommandResult outcome = RunSluice(
      {"run", kStories, "-p", "one two three four five six", "--ctx", "3"});
  EXPECT_THAT(outcome.exit_code, AnyOf(1, 2));
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("context"));
}

}  // namespace
}  // namespace sluice::tools
