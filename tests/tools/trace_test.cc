// --trace: the routing of a run as a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/sluice.h"
#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::HasSubstr;

const std::string kPrompt = "Once upon a time there was a little dog.";

RoutingTrace ReadTrace(const std::string& path) {
  auto trace = ParseTrace(ReadTestFile(path), path);
  EXPECT_TRUE(trace.has_value()) << trace.error().message;
  return trace ? *std::move(trace) : RoutingTrace();
}

std::size_t RowsOf(const RoutingTrace& trace, RoutingPhase phase) {
  std::size_t rows = 0;
  for (const RoutingVisit& visit : trace.visits) {
    if (visit.phase == phase) rows += visit.tokens;
  }
  return rows;
}

TEST(Trace, RunRecordsEveryTokenOfEveryLayer) {
  const TestFolder folder;
  const std::string path = folder.Path("t.csv");
  const nlohmann::json run =
      RunSluiceJson({"run", kStories, "-p", kPrompt, "-n", "6", "--temp", "0",
                     "--ignore-eos", "--chunk", "4", "--trace", path});
  const RoutingTrace trace = ReadTrace(path);
  EXPECT_EQ(trace.shape.layers, 8u);
  EXPECT_EQ(trace.shape.experts, 32u);
  EXPECT_GT(trace.shape.expert_bytes, 100u << 10);
  EXPECT_EQ(trace.used, 4u);
  const std::size_t prompt = run.at("prompt_tokens");
  // The last layer is asked for the prompt's last token alone.
  EXPECT_EQ(RowsOf(trace, RoutingPhase::kPrompt), 7 * prompt + 1);
  // The last token generated does not go through the model.
  EXPECT_EQ(RowsOf(trace, RoutingPhase::kDecode), 8 * 5u);
  EXPECT_EQ(trace.visits[0].tokens, 4u);  // a chunk
  EXPECT_EQ(trace.visits[7].token, 4u);   // the next one
  EXPECT_EQ(trace.visits.back().token, prompt + 4);
  for (std::size_t row = 0; row < trace.weights.size(); row += 4) {
    EXPECT_GE(trace.weights[row], trace.weights[row + 1]);  // in rank order
    EXPECT_NEAR(trace.weights[row] + trace.weights[row + 1] +
                    trace.weights[row + 2] + trace.weights[row + 3],
                1, 1e-4);
  }
}

TEST(Trace, RecordsTheSameWhetherExpertsStream) {
  const TestFolder folder;
  for (const char* command : {"eval", "bench"}) {
    std::vector<std::string> args = {command, kStories, "--threads", "2"};
    if (args[0] == "eval") {
      args.insert(args.end(),
                  {"--text", folder.Write("text.txt", kPrompt + kPrompt),
                   "--ctx", "8", "--chunk", "3"});
    } else {
      args.insert(args.end(), {"--prompt-tokens", "9", "--gen-tokens", "3",
                               "--reps", "2", "--chunk", "5"});
    }
    std::string text;
    for (const bool stream : {false, true}) {
      std::vector<std::string> all = args;
      const std::string path = folder.Path(stream ? "s.csv" : "r.csv");
      all.insert(all.end(), {"--trace", path});
      if (stream) all.push_back("--stream");
      RunSluiceJson(all);
      if (stream) {
        EXPECT_EQ(ReadTestFile(path), text) << command;
      } else {
        text = ReadTestFile(path);
        EXPECT_GT(ReadTrace(path).visits.size(), 16u) << command;
      }
    }
  }
}

TEST(Trace, WhatWasMadeIsShownThoughItsTraceIsLost) {
  const std::vector<std::string> run = {"run", kStories, "-p", "A",      "-n",
                                        "4",   "--temp", "0",  "--quiet"};
  std::vector<std::string> traced = run;
  traced.insert(traced.end(), {"--trace", "/dev/full"});
  const CommandResult lost = RunSluice(traced);
  EXPECT_EQ(lost.exit_code, 1);
  EXPECT_EQ(lost.out, RunSluice(run).out);
  EXPECT_THAT(lost.err, HasSubstr("/dev/full"));
  for (std::vector<std::string> command :
       {std::vector<std::string>{"bench", kStories, "--prompt-tokens", "4",
                                 "--gen-tokens", "2", "--reps", "1"},
        {"eval", kStories, "--text", "-"}}) {
    command.insert(command.end(), {"--json", "--trace", "/dev/full"});
    const CommandResult result = RunSluice(command, kPrompt);
    EXPECT_EQ(result.exit_code, 1) << command[0];
    EXPECT_TRUE(nlohmann::json::accept(result.out)) << command[0];
    EXPECT_THAT(result.err, HasSubstr("/dev/full"));
  }
}

// A file that is opened then must not get a standard stream's number.
TEST(Trace, IsWrittenThoughStandardInputIsClosed) {
  const TestFolder folder;
  const std::string trace = folder.Path("t.csv");
  std::vector<std::string> command = {"/bin/sh", "-c", "exec \"$@\" <&-", "sh"};
  const std::string emulator = SLUICE_EMULATOR;
  if (!emulator.empty()) command.push_back(emulator);
  command.insert(command.end(), {SLUICE_BINARY, "run", kStories, "-p", "A",
                                 "-n", "2", "--trace", trace});
  const CommandResult result = testing_support::RunCommand(command);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(ReadTestFile(trace), HasSubstr(","));
}

TEST(Trace, APlaceThatCannotBeWrittenIsAnError) {
  const CommandResult result = RunSluice(
      {"run", kStories, "-p", "A", "-n", "1", "--trace", "/nowhere/t.csv"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/nowhere/t.csv"));
  ExpectOneLine(result.err);
}

}  // namespace
}  // namespace sluice::tools
