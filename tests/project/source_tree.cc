#include "tests/project/source_tree.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

namespace sluice::project_tests {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 12> kTextSuffixes = {
    ".cc", ".h",  ".md",  ".txt",          ".cmake",      ".json",
    ".py", ".sh", ".yml", ".clang-format", ".clang-tidy", ".gitignore"};

bool IsText(const fs::path& path) {
  const std::string name = path.filename().string();
  const bool script = path.parent_path().filename() == "ci" ||
                      path.parent_path().filename() == ".ci";
  return script || std::any_of(kTextSuffixes.begin(), kTextSuffixes.end(),
                               [&](std::string_view suffix) {
                                 return name.ends_with(suffix);
                               });
}

// Build folders and what version control keeps are no part of the project;
// test data is not written by it.
bool IsSkipped(const std::string& relative) {
  return relative.starts_with("build") || relative == ".git" ||
         relative == ".cache" || relative == "tests/data" ||
         relative == "tests/fuzz/corpus" || relative == "bench/data";
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Walks over C++ text, blanking what is not code.
class Stripper {
 public:
  Stripper(std::string_view text, Keep keep)
      : text_(text), out_(text), keep_literals_(keep != Keep::kCode) {}

  std::string Run() {
    while (at_ < text_.size()) Step();
    return std::move(out_);
  }

 private:
  void Step() {
    if (text_.substr(at_, 2) == "//") {
      BlankTo(text_.find('\n', at_));
    } else if (text_.substr(at_, 2) == "/*") {
      BlankTo(After("*/", at_ + 2));
    } else if (text_.substr(at_, 2) == "R\"") {
      const std::size_t open = text_.find('(', at_);
      const std::string close =
          ")" + std::string(text_.substr(at_ + 2, open - at_ - 2)) + "\"";
      Literal(After(close, open));
    } else if (text_[at_] == '"' || IsCharacterStart()) {
      Literal(EndOfQuoted());
    } else {
      ++at_;
    }
  }

  // A quote between digits separates them: 1'000.
  bool IsCharacterStart() const {
    return text_[at_] == '\'' &&
           (at_ == 0 ||
            std::isalnum(static_cast<unsigned char>(text_[at_ - 1])) == 0);
  }

  std::size_t After(std::string_view what, std::size_t from) const {
    const std::size_t found = text_.find(what, from);
    return found == std::string_view::npos ? found : found + what.size();
  }

  std::size_t EndOfQuoted() const {
    const char quote = text_[at_];
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      if (text_[i] == '\\') {
        ++i;
      } else if (text_[i] == quote || text_[i] == '\n') {
        return i + 1;
      }
    }
    return text_.size();
  }

  void Literal(std::size_t end) {
    if (keep_literals_) {
      at_ = std::min(end, text_.size());
    } else {
      BlankTo(end);
    }
  }

  void BlankTo(std::size_t end) {
    for (end = std::min(end, text_.size()); at_ < end; ++at_) {
      if (out_[at_] != '\n') out_[at_] = ' ';
    }
  }

  std::string_view text_;
  std::string out_;
  bool keep_literals_;
  std::size_t at_ = 0;
};

}  // namespace

std::string_view FolderOf(std::string_view path) {
  const std::size_t slash = path.find('/');
  return slash == std::string_view::npos ? "" : path.substr(0, slash);
}

bool IsHeader(std::string_view path) { return path.ends_with(".h"); }

bool IsCpp(std::string_view path) {
  return IsHeader(path) || path.ends_with(".cc");
}

std::vector<SourceFile> ReadProject() {
  const fs::path root(SLUICE_SOURCE_DIR);
  std::vector<SourceFile> files;
  fs::recursive_directory_iterator walk(root);
  for (auto it = fs::begin(walk); it != fs::end(walk); ++it) {
    const std::string relative = it->path().lexically_relative(root).string();
    if (IsSkipped(relative)) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file() && IsText(it->path())) {
      files.push_back({relative, ReadFile(it->path())});
    }
  }
  std::sort(
      files.begin(), files.end(),
      [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

std::vector<Include> FindIncludes(std::string_view text) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::istringstream lines(Strip(text, Keep::kCodeAndLiterals));
  std::vector<Include> includes;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (std::regex_search(line, match, kInclude)) {
      includes.push_back({number, match[1] == "<", match[2]});
    }
  }
  return includes;
}

std::string Strip(std::string_view text, Keep keep) {
  return Stripper(text, keep).Run();
}

}  // namespace sluice::project_tests
