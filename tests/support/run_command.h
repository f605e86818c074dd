// RunCommand: runs a program and reports what it wrote and how it ended.
//
// The program is named by its path (no shell, no PATH search), runs in its own
// process group, inherits the environment and dies with the test. Its stdin is
// empty unless given. What it leaves running in its group is killed.
//
// Thread safety: may be called from several threads at once.
#ifndef SLUICE_TESTS_SUPPORT_RUN_COMMAND_H_
#define SLUICE_TESTS_SUPPORT_RUN_COMMAND_H_

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/cgroup.h"

namespace sluice::testing_support {

struct CommandSignal {
  int number = 0;  // SIGINT, ...
  // Sent once both hold: this long after the start, this much on stdout.
  std::chrono::milliseconds after{0};
  std::size_t after_output_bytes = 0;
};

struct CommandOptions {
  std::string input = {};                // on stdin
  const MemoryCgroup* cgroup = nullptr;  // joined before the program starts
  std::chrono::milliseconds timeout{300000};  // then it is killed
  std::optional<CommandSignal> signal = {};
};

struct CommandResult {
  int exit_code = -1;  // -1 when ended by a signal; 127: could not be run
  int signal = 0;      // what ended it, 0 for an exit
  bool timed_out = false;
  std::string out;
  std::string err;
};

// `arguments[0]` is the program's path. Throws std::runtime_error when the
// system has no pipe or process left.
CommandResult RunCommand(const std::vector<std::string>& arguments,
                         const CommandOptions& options = {});

}  // namespace sluice::testing_support

#endif  // SLUICE_TESTS_SUPPORT_RUN_COMMAND_H_
