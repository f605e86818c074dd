// README promises commands; these tests hold it to them.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::project_tests {
namespace {

std::string Readme() {
  std::ifstream in(SLUICE_SOURCE_DIR "/README.md");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> FindAll(const std::string& text,
                                 const std::string& pattern) {
  const std::regex regex(pattern, std::regex::multiline);
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end;
       ++it) {
    found.push_back((*it)[1]);
  }
  return found;
}

TEST(Readme, FirstTwoCommandsAreTheDemoAndTheTests) {
  const std::vector<std::string> commands =
      FindAll(Readme(), R"(```sh\n([^\n]*)\n)");
  ASSERT_GE(commands.size(), 2U);
  EXPECT_EQ(commands[0], "ci/demo");
  EXPECT_EQ(commands[1], "ci/test");
}

TEST(Readme, FilesThatItNamesExist) {
  const std::vector<std::string> files =
      FindAll(Readme(), R"(\b((ci|bench|engine|models)/[A-Za-z0-9_./-]+\w))");
  ASSERT_FALSE(files.empty());
  for (const std::string& file : files) {
    EXPECT_TRUE(std::filesystem::exists(SLUICE_SOURCE_DIR "/" + file)) << file;
  }
}

TEST(Readme, ScriptsAreExecutable) {
  for (const char* script : {"ci/install", "ci/demo", "ci/test", ".ci/run"}) {
    const auto status = std::filesystem::status(
        std::filesystem::path(SLUICE_SOURCE_DIR) / script);
    EXPECT_NE(status.permissions() & std::filesystem::perms::owner_exec,
              std::filesystem::perms::none)
        << script;
  }
}

}  // namespace
}  // namespace sluice::project_tests
