// What the command says about itself, and to those who misuse it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

const std::vector<std::string> kEngineFlags = {
    "--memory", "--threads", "--ctx",    "--chunk",     "--isa",
    "--device", "--policy",  "--stream", "--no-direct",
};

struct CommandHelp {
  std::string name;
  bool engine;  // has the engine's flags
  std::vector<std::string> flags;
};

const std::vector<CommandHelp> kCommands = {
    {"run",
     true,
     {"--prompt", "--file", "--predict", "--temp", "--top-k", "--top-p",
      "--min-p", "--repeat-penalty", "--repeat-last-n", "--seed",
      "--ignore-eos", "--echo", "--json", "--quiet"}},
    {"bench", true, {"--prompt-tokens", "--gen-tokens", "--reps", "--json"}},
    {"plan", true, {"--json"}},
    {"inspect", false, {"--tensors", "--json"}},
    {"repack", false, {"--compress", "--force", "--no-verify", "--json"}},
    {"verify", false, {"--json"}},
    {"probe", false, {"--quick", "--json"}},
    {"eval", true, {"--text", "--no-exact", "--json"}},
    {"logits", true, {"--tokens", "--out"}},
    {"tokenize",
     false,
     {"--text", "--decode", "--no-special", "--add-special", "--json"}},
    {"train-predictor", true, {"--text", "--out", "--json"}},
};

// Bad usage is one line on stderr that holds `part` and ends with a pointer to
// the help, and exit code 2.
void ExpectUsageError(const std::vector<std::string>& args,
                      const std::string& part) {
  const CommandResult outcome = RunSluice(args);
  SCOPED_TRACE(testing::PrintToString(args));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, StartsWith("sluice"));
  EXPECT_THAT(outcome.err, HasSubstr(part));
  EXPECT_THAT(outcome.err, EndsWith("--help\n"));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
}

TEST(Usage, HelpListsEveryCommand) {
  const CommandResult outcome = RunSluice({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  for (const CommandHelp& command : kCommands) {
    EXPECT_THAT(outcome.out, HasSubstr("  " + command.name + " "));
  }
}

TEST(Usage, HelpOfEachCommandNamesItsFlagsAndHasExamples) {
  for (const CommandHelp& command : kCommands) {
    SCOPED_TRACE(command.name);
    const CommandResult outcome = RunSluice({command.name, "--help"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out, HasSubstr("Examples:\n  "));
    for (const std::string& flag : command.flags) {
      EXPECT_THAT(outcome.out, HasSubstr(flag + " "));
    }
    if (!command.engine) continue;
    for (const std::string& flag : kEngineFlags) {
      EXPECT_THAT(outcome.out, HasSubstr(flag + " "));
    }
  }
}

TEST(Usage, HelpFitsATerminal) {
  for (const CommandHelp& command : kCommands) {
    const std::string help = RunSluice({command.name, "--help"}).out;
    for (std::size_t at = 0; at < help.size();) {
      const std::size_t end = help.find('\n', at);
      EXPECT_LE(end - at, 80U) << help.substr(at, end - at);
      at = end + 1;
    }
  }
}

TEST(Usage, VersionIsOneLine) {
  const CommandResult outcome = RunSluice({"--version"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, testing::MatchesRegex("sluice [0-9.]+\n"));
}

TEST(Usage, NoCommandOrAnUnknownOne) {
  ExpectUsageError({}, "no command given");
  ExpectUsageError({"frobnicate"}, "unknown command 'frobnicate'");
  ExpectUsageError({"--frobnicate"}, "unexpected option '--frobnicate'");
}

TEST(Usage, EveryCommandRefusesWhatItDoesNotKnow) {
  for (const CommandHelp& command : kCommands) {
    ExpectUsageError({command.name}, " is required");
    std::vector<std::string> args = {command.name, kStories};
    if (command.name == "repack") args.push_back("x");
    if (command.name == "eval") args.insert(args.end(), {"--text", "x"});
    if (command.name == "logits") {
      args.insert(args.end(), {"--tokens", "x", "--out", "y"});
    }
    if (command.name == "train-predictor") {
      args.insert(args.end(), {"--text", "x", "--out", "y"});
    }
    args.push_back("--frobnicate");
    ExpectUsageError(args, "unexpected option '--frobnicate'");
    args.back() = "surplus";
    ExpectUsageError(args, "unexpected argument 'surplus'");
  }
}

TEST(Usage, RequiredFlagsAreNamed) {
  ExpectUsageError({"run", kStories}, "-p TEXT or -f FILE");
  ExpectUsageError({"run", kStories, "-p", "a", "-f", "b"},
                   "-p TEXT or -f FILE");
  ExpectUsageError({"repack", kStories}, "OUT is required");
  ExpectUsageError({"eval", kStories}, "--text is required");
  ExpectUsageError({"logits", kStories, "--out", "x"}, "--tokens is required");
  ExpectUsageError({"logits", kStories, "--tokens", "x"}, "--out is required");
  ExpectUsageError({"tokenize", kStories}, "--text FILE or --decode FILE");
  ExpectUsageError({"train-predictor", kStories, "--out", "x"},
                   "--text is required");
  ExpectUsageError({"train-predictor", kStories, "--text", "x"},
                   "--out is required");
}

TEST(Usage, BadValuesNameTheFlagAndItsRange) {
  const std::vector<std::vector<std::string>> cases = {
      {"--memory", "12Q", "a size such as 512M or 2G"},
      {"--memory", "0", "a size"},
      {"--memory", "-1", "a size"},
      {"--threads", "0", "from 1 to 1024"},
      {"--threads", "two", "from 1 to 1024"},
      {"--ctx", "1e3", "a whole number"},
      {"--chunk", "99999999999999999999", "a whole number"},
      {"--isa", "sse", "one of scalar, avx2, avx512, neon, dotprod, i8mm"},
      {"--device", "tape", "one of auto, uring, pread, memory"},
      {"--policy", "fifo", "one of auto, lru, lfu, lfru, hobbit"},
      {"--predictor", "tarot", "one of none, next-layer, previous, frequency"},
      {"--predictor", "transition", "transition:FILE"},
      {"--predictor", "transition:", "transition:FILE"},
      {"--predictor", "previous:x", "transition:FILE"},
      {"--predict", "-2", "-1 or more"},
      {"--temp", "-0.1", "a number from 0"},
      {"--temp", "nan", "a number from 0"},
      {"--top-p", "1.5", "from 0 to 1"},
      {"--min-p", "inf", "from 0 to 1"},
      {"--repeat-penalty", "0", "a number from"},
      {"--seed", "-3", "a whole number, 0 or more"},
  };
  for (const auto& bad : cases) {
    const std::vector<std::string> args = {"run", kStories, "-p",
                                           "x",   bad[0],   bad[1]};
    ExpectUsageError(args, bad[0] + ": '" + bad[1] + "' is not");
    ExpectUsageError(args, bad[2]);
  }
  ExpectUsageError({"run", kStories, "-p"}, "--prompt needs a value");
  ExpectUsageError({"run", kStories, "-p", "x", "--json=3"},
                   "--json takes no value");
  ExpectUsageError({"repack", kStories, "x", "--compress", "maybe"},
                   "--compress: 'maybe' is not one of auto, always, never");
  ExpectUsageError({"bench", kStories, "--reps", "0"}, "--reps: '0' is not");
}

}  // namespace
}  // namespace sluice::tools
