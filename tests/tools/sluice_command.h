// Running the `sluice` command in tests, on the models of the tree.
//
// Thread safety: free functions may be called from several threads; TestFolder
// is thread-compatible.
#ifndef SLUICE_TESTS_TOOLS_SLUICE_COMMAND_H_
#define SLUICE_TESTS_TOOLS_SLUICE_COMMAND_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/support/run_command.h"

namespace sluice::tools {

using testing_support::CommandOptions;
using testing_support::CommandResult;

inline const std::string kStories =
    SLUICE_SOURCE_DIR "/models/stories-q8_0.gguf";
inline const std::string kTestData = SLUICE_SOURCE_DIR "/tests/data";

inline CommandResult RunSluice(std::vector<std::string> arguments,
                               const CommandOptions& options = {}) {
  arguments.insert(arguments.begin(), SLUICE_BINARY);
  const std::string emulator = SLUICE_EMULATOR;
  if (!emulator.empty()) arguments.insert(arguments.begin(), emulator);
  return testing_support::RunCommand(arguments, options);
}

inline CommandResult RunSluice(std::vector<std::string> arguments,
                               std::string input) {
  CommandOptions options;
  options.input = std::move(input);
  return RunSluice(std::move(arguments), options);
}

// Runs with --json, which must succeed and print one line, and parses it.
inline nlohmann::json RunSluiceJson(std::vector<std::string> arguments) {
  arguments.push_back("--json");
  const CommandResult result = RunSluice(std::move(arguments));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1);
  return nlohmann::json::parse(result.out);
}

// The --memory that leaves as much for a model as `bytes` do in the real
// program: a process under a sanitizer or in an emulator is many times larger,
// and what it is larger by is added.
inline std::uint64_t CeilingLike(std::uint64_t bytes) {
  constexpr std::uint64_t kRealProcess = 9 << 20;
  if (!SLUICE_SANITIZED && *SLUICE_EMULATOR == '\0') return bytes;
  static const auto process =
      RunSluiceJson({"plan", kStories, "--memory", "1G"})
          .at("process_bytes")
          .get<std::uint64_t>();
  return bytes + process - std::min(process, kRealProcess);
}

inline std::vector<std::string> Keys(const nlohmann::json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

inline void ExpectOneLine(const std::string& text) {
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

inline std::string ReadTestFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder of its own for each test, removed at the end.
class TestFolder {
 public:
  TestFolder() {
    std::string path = testing::TempDir() + "sluice-tools-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) ADD_FAILURE() << "no folder " << path;
    path_ = path;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, std::string_view text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  std::size_t CountFiles() const {
    const std::filesystem::directory_iterator files(path_);
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
  }

 private:
  std::string path_;
};

}  // namespace sluice::tools

#endif  // SLUICE_TESTS_TOOLS_SLUICE_COMMAND_H_
