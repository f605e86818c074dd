// What the gates share: running `sluice logits` on the trained model under a
// memory cap, and reading what it wrote.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TESTS_GATES_GATE_SUPPORT_H_
#define SLUICE_TESTS_GATES_GATE_SUPPORT_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/cgroup.h"
#include "tests/tools/sluice_command.h"

namespace sluice::gates {

using tools::kStories;
using tools::kTestData;
using tools::RunSluice;
using tools::TestFolder;

inline std::vector<float> ReadFloats(const std::string& path) {
  const std::string bytes = tools::ReadTestFile(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// The first `count` tokens of the held-out text, as a file in `folder`.
inline std::string WriteHeldTokens(const TestFolder& folder,
                                   std::size_t count) {
  const auto result = RunSluice(
      {"tokenize", kStories, "--text", kTestData + "/model/held.txt"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::size_t end = 0;
  for (std::size_t i = 0; i < count && end != std::string::npos; ++i) {
    end = result.out.find(' ', end + 1);
  }
  return folder.Write("tokens.txt", result.out.substr(0, end));
}

// One run of `sluice logits`: its output file's bytes and its JSON report.
struct LogitsRun {
  std::string bytes;
  nlohmann::json report;
};

inline LogitsRun RunLogits(const TestFolder& folder, const std::string& model,
                           const std::string& tokens,
                           const std::vector<std::string>& flags,
                           const testing_support::MemoryCgroup* cap = nullptr) {
  const std::string out = folder.Path("logits.f32");
  std::vector<std::string> arguments = {"logits", model, "--tokens", tokens,
                                        "--out",  out,   "--json"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  tools::CommandOptions options;
  options.cgroup = cap;
  const auto result = RunSluice(arguments, options);
  EXPECT_EQ(result.exit_code, 0) << result.err << " signal " << result.signal
                                 << " with " << ::testing::PrintToString(flags);
  LogitsRun run;
  if (result.exit_code != 0) return run;
  run.bytes = tools::ReadTestFile(out);
  run.report = nlohmann::json::parse(result.out);
  return run;
}

}  // namespace sluice::gates

#endif  // SLUICE_TESTS_GATES_GATE_SUPPORT_H_
