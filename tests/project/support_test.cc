// The test help itself: a helper that swallows failures would hide others'.
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/cgroup.h"
#include "tests/support/run_command.h"

namespace sluice::testing_support {
namespace {

using std::chrono::milliseconds;

CommandResult Shell(const std::string& script,
                    const CommandOptions& options = {}) {
  return RunCommand({"/bin/sh", "-c", script}, options);
}

TEST(RunCommandTest, KeepsOutputAndErrorsApart) {
  const CommandResult result = Shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.signal, 0);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
}

TEST(RunCommandTest, PassesArgumentsUnchanged) {
  const CommandResult result = RunCommand(
      {"/bin/sh", "-c", "printf '%s|' \"$@\"", "sh", "a b", "", "*", "'\"\n"});
  EXPECT_EQ(result.out, "a b||*|'\"\n|");
}

TEST(RunCommandTest, MoreOutputThanAPipeHolds) {
  const CommandResult result =
      Shell("head -c 1000000 /dev/zero >&2; head -c 2000000 /dev/zero; exit 0");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out.size(), 2000000u);
  EXPECT_EQ(result.err.size(), 1000000u);
}

TEST(RunCommandTest, FeedsInput) {
  const std::string text(200000, 'x');
  EXPECT_EQ(Shell("cat", {.input = text}).out, text);
  EXPECT_EQ(Shell("cat").out, "");
}

TEST(RunCommandTest, MissingProgram) {
  EXPECT_EQ(RunCommand({"/nonexistent/program"}).exit_code, 127);
}

TEST(RunCommandTest, ReportsTheSignalThatEndedIt) {
  const CommandResult result = Shell("kill -TERM $$");
  EXPECT_EQ(result.signal, SIGTERM);
  EXPECT_EQ(result.exit_code, -1);
}

TEST(RunCommandTest, TimeoutEndsTheProgramAndItsChildren) {
  const CommandResult result = Shell("echo begun; sleep 600 & sleep 600",
                                     {.timeout = milliseconds(300)});
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_EQ(result.out, "begun\n");
}

TEST(RunCommandTest, DoesNotWaitForWhatTheProgramLeftBehind) {
  const CommandResult result =
      Shell("echo done; sleep 600 &", {.timeout = milliseconds(60000)});
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "done\n");
}

TEST(RunCommandTest, SignalAfterOutput) {
  const CommandResult result = Shell(
      "trap 'echo caught; exit 130' INT; echo ready; "
      "while true; do sleep 0.01; done",
      {.timeout = milliseconds(60000),
       .signal = CommandSignal{.number = SIGINT, .after_output_bytes = 6}});
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.out, "ready\ncaught\n");
}

TEST(RunCommandTest, SignalAfterADelay) {
  const CommandResult result = Shell(
      "sleep 600",
      {.timeout = milliseconds(60000),
       .signal = CommandSignal{.number = SIGTERM, .after = milliseconds(50)}});
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.signal, SIGTERM);
}

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

TEST(MemoryCgroupTest, MeasuresTheCommandRunInIt) {
  SLUICE_MEMORY_CGROUP_OR_SKIP(group, 64 * kMib);
  // dd holds one block of 24 MiB.
  const CommandResult result = RunCommand(
      {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=24M", "count=1"},
      {.cgroup = group.get()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(group->oom_kills(), 0u);
  EXPECT_GE(group->peak(), 24 * kMib);
  EXPECT_LE(group->peak(), group->limit());
}

TEST(MemoryCgroupTest, TheLimitBites) {
  SLUICE_MEMORY_CGROUP_OR_SKIP(group, 16 * kMib);
  const CommandResult result = RunCommand(
      {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"},
      {.cgroup = group.get()});
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_FALSE(result.timed_out);
  EXPECT_GE(group->oom_kills(), 1u);
}

TEST(MemoryCgroupTest, IsRemoved) {
  std::string directory;
  {
    SLUICE_MEMORY_CGROUP_OR_SKIP(group, 16 * kMib);
    directory = group->directory();
    RunCommand({"/bin/true"}, {.cgroup = group.get()});
    struct stat status;
    EXPECT_EQ(stat(directory.c_str(), &status), 0);
  }
  struct stat status;
  EXPECT_NE(stat(directory.c_str(), &status), 0);
}

}  // namespace
}  // namespace sluice::testing_support
