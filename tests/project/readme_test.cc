// README promises commands; these tests hold it to them.

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::project_tests {
namespace {

using ::testing::HasSubstr;

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

// stdout and stderr of `sluice ARGUMENTS --help`; empty when it fails.
std::string HelpOf(const std::string& arguments) {
  const std::string command =
      std::string(SLUICE_BINARY) + " " + arguments + " --help 2>&1";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(
      popen(command.c_str(), "r"), pclose);
  if (pipe == nullptr) return "";
  std::string text;
  std::array<char, 4096> buffer;
  while (std::fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) {
    text += buffer.data();
  }
  return text;
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

// Every subcommand in a line of README starting with `sluice`, with the flags
// of that line.
TEST(Readme, SubcommandsAndFlagsExist) {
  const std::vector<std::string> lines =
      FindAll(Readme(), "^(?:build/release/)?(sluice [a-z]+ [^#\n]*)");
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines) {
    const std::string subcommand =
        line.substr(7, line.find(' ', 7) - std::string("sluice ").size());
    const std::string help = HelpOf(subcommand);
    for (const std::string& flag : FindAll(line, R"( (--?[a-z][a-z-]*))")) {
      EXPECT_THAT(help, HasSubstr(flag)) << line;
    }
  }
}

}  // namespace
}  // namespace sluice::project_tests
