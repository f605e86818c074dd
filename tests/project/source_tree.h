// The project's own files as tests of the project see them: a list of paths and
// texts, with comments and literals removable.
//
// It reads C++ by its tokens, not its grammar: enough to find includes and
// names in code, not enough to resolve them.
//
// Thread safety: values and pure functions.
#ifndef SLUICE_TESTS_PROJECT_SOURCE_TREE_H_
#define SLUICE_TESTS_PROJECT_SOURCE_TREE_H_

#include <string>
#include <string_view>
#include <vector>

namespace sluice::project_tests {

struct SourceFile {
  std::string path;  // from the project's root: "storage/gguf.h"
  std::string text;
};

// The first folder of a path; empty for a file at the root.
std::string_view FolderOf(std::string_view path);
bool IsHeader(std::string_view path);
bool IsCpp(std::string_view path);  // .h and .cc

// Every text file of the project outside build folders and binary data, sorted
// by path.
std::vector<SourceFile> ReadProject();

struct Include {
  int line = 0;  // from 1
  bool angled = false;
  std::string name;  // "storage/gguf.h", "vector"
};
std::vector<Include> FindIncludes(std::string_view text);

enum class Keep { kCode, kCodeAndLiterals };
// `text` with comments (and, for kCode, the insides of string and character
// literals) replaced by spaces; line breaks stay.
std::string Strip(std::string_view text, Keep keep);

}  // namespace sluice::project_tests

#endif  // SLUICE_TESTS_PROJECT_SOURCE_TREE_H_
