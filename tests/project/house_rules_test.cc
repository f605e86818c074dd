// Rules of the text that compilers and formatters do not check.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/project/source_tree.h"

namespace sluice::project_tests {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::size_t kMaxLines = 600;

using Rule = std::vector<std::string> (*)(const SourceFile&);

bool IsLibrary(std::string_view path) {
  const std::string_view folder = FolderOf(path);
  return folder == "storage" || folder == "kernels" || folder == "cache" ||
         folder == "predictor" || folder == "engine";
}

// The library never prints, exits, or reads the environment.
std::vector<std::string> ForbiddenCalls(const SourceFile& file) {
  if (!IsLibrary(file.path) || !IsCpp(file.path)) return {};
  static const std::regex kForbidden(
      R"(\b(std::(cout|cerr|clog|cin)|(secure_)?getenv|[sp]etenv)\b|)"
      R"(\b(v?f?printf|f?puts|putchar|perror|_?_?exit|_Exit|quick_exit|abort|)"
      R"(terminate)\s*\()");
  std::vector<std::string> found;
  std::istringstream lines(Strip(file.text, Keep::kCode));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (std::regex_search(line, match, kForbidden)) {
      found.push_back(fmt::format("{}:{}: a library may not use {}", file.path,
                                  number, match.str()));
    }
  }
  return found;
}

std::vector<std::string> TooLong(const SourceFile& file) {
  if (!IsCpp(file.path)) return {};
  const auto lines = static_cast<std::size_t>(
      std::count(file.text.begin(), file.text.end(), '\n'));
  if (lines <= kMaxLines) return {};
  return {fmt::format("{}: {} lines; split it by idea", file.path, lines)};
}

// storage/gguf.h: SLUICE_STORAGE_GGUF_H_
std::string GuardOf(std::string_view path) {
  std::string guard = "SLUICE_";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    guard +=
        std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return guard + "_";
}

std::vector<std::string> WrongGuard(const SourceFile& file) {
  if (!IsHeader(file.path)) return {};
  const std::string guard = GuardOf(file.path);
  if (file.text.find(fmt::format("#ifndef {0}\n#define {0}\n", guard)) !=
          std::string::npos &&
      file.text.ends_with(fmt::format("#endif  // {}\n", guard))) {
    return {};
  }
  return {fmt::format("{}: the include guard must be {}", file.path, guard)};
}

std::vector<std::string> NoModuleComment(const SourceFile& file) {
  if (!IsHeader(file.path) || file.text.starts_with("// ")) return {};
  return {
      fmt::format("{}: open with a comment that says what it owns", file.path)};
}

// Paths of one machine. Written in two halves here, to not find itself.
std::vector<std::string> MachinePaths(const SourceFile& file) {
  static const std::array<std::string, 3> kPaths = {std::string("/") + "home/",
                                                    std::string("/") + "root/",
                                                    std::string("/") + "work/"};
  std::vector<std::string> found;
  for (const std::string& path : kPaths) {
    if (file.text.find(path) != std::string::npos) {
      found.push_back(fmt::format("{}: names {}", file.path, path));
    }
  }
  return found;
}

// Sources that do not begin with the header of their own name, which shows that
// it includes what it uses.
std::vector<std::string> OwnHeaderNotFirst(
    const std::vector<SourceFile>& files) {
  std::set<std::string> headers;
  for (const SourceFile& file : files) {
    if (IsHeader(file.path)) headers.insert(file.path);
  }
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    if (!file.path.ends_with(".cc")) continue;
    const std::string own = file.path.substr(0, file.path.size() - 2) + "h";
    if (!headers.contains(own)) continue;
    const std::vector<Include> includes = FindIncludes(file.text);
    if (!includes.empty() && includes[0].name == own) continue;
    found.push_back(fmt::format("{}: include {} first", file.path, own));
  }
  return found;
}

void ExpectHolds(Rule rule) {
  const std::vector<SourceFile> files = ReadProject();
  ASSERT_GT(files.size(), 30U) << "the project's files were not found";
  for (const SourceFile& file : files) EXPECT_THAT(rule(file), IsEmpty());
}

TEST(HouseRules, LibraryDoesNotPrintExitOrReadTheEnvironment) {
  ExpectHolds(ForbiddenCalls);
}
TEST(HouseRules, FilesAreShort) { ExpectHolds(TooLong); }
TEST(HouseRules, GuardsAreNamedByPath) { ExpectHolds(WrongGuard); }
TEST(HouseRules, HeadersOpenWithAModuleComment) {
  ExpectHolds(NoModuleComment);
}
TEST(HouseRules, SourcesIncludeTheirOwnHeaderFirst) {
  EXPECT_THAT(OwnHeaderNotFirst(ReadProject()), IsEmpty());
  EXPECT_THAT(
      OwnHeaderNotFirst({{"a/b.h", ""},
                         {"a/b.cc", "#include <set>\n#include \"a/b.h\"\n"},
                         {"a/c.cc", "#include <set>\n"}}),
      ElementsAre("a/b.cc: include a/b.h first"));
}
TEST(HouseRules, NoPathsOfOneMachine) { ExpectHolds(MachinePaths); }

TEST(HouseRules, PlantedCallsAreCaught) {
  const auto calls = [](std::string text) {
    return ForbiddenCalls({"engine/a.cc", std::move(text)});
  };
  EXPECT_THAT(calls("int x;\nstd::cout << 1;\n"),
              ElementsAre("engine/a.cc:2: a library may not use std::cout"));
  EXPECT_THAT(calls("auto* v = std::getenv(\"A\");"), SizeIs(1));
  EXPECT_THAT(calls("printf (\"a\");"), SizeIs(1));
  EXPECT_THAT(calls("std::exit(1);"), SizeIs(1));
  EXPECT_THAT(calls("std::abort();"), SizeIs(1));
  EXPECT_THAT(calls("// printf(1)\nf(\"exit(1)\"); snprintf(b, 1, \"\");"),
              IsEmpty());
  EXPECT_THAT(calls("on_exit_ = 1'000; char c = '\"'; /* abort() */"),
              IsEmpty());
  EXPECT_THAT(calls("f(R\"x(\" abort() )x\"); abort();"), SizeIs(1));
  EXPECT_THAT(ForbiddenCalls({"tools/a.cc", "std::exit(1);"}), IsEmpty());
}

TEST(HouseRules, PlantedFilesAreCaught) {
  EXPECT_THAT(TooLong({"a.cc", std::string(kMaxLines + 1, '\n')}), SizeIs(1));
  EXPECT_THAT(TooLong({"a.cc", std::string(kMaxLines, '\n')}), IsEmpty());
  EXPECT_THAT(WrongGuard({"cache/a_b.h",
                          "#ifndef SLUICE_A_B_H_\n#define SLUICE_A_B_H_\n"
                          "#endif  // SLUICE_A_B_H_\n"}),
              SizeIs(1));
  EXPECT_THAT(WrongGuard({"cache/a_b.h",
                          "#ifndef SLUICE_CACHE_A_B_H_\n"
                          "#define SLUICE_CACHE_A_B_H_\n"
                          "#endif  // SLUICE_CACHE_A_B_H_\n"}),
              IsEmpty());
  EXPECT_THAT(NoModuleComment({"cache/a.h", "#ifndef A\n"}), SizeIs(1));
  EXPECT_THAT(MachinePaths({"a.md", std::string("see /") + "home/me/x"}),
              SizeIs(1));
}

}  // namespace
}  // namespace sluice::project_tests
