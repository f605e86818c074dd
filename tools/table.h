// Table: rows of text in aligned columns, for people to read.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TOOLS_TABLE_H_
#define SLUICE_TOOLS_TABLE_H_

#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

// `text` with every control character replaced by '?': names and metadata come
// from untrusted files and must not steer the terminal.
std::string Printable(std::string_view text);

class Table {
 public:
  // One letter per column: 'l' aligns left, 'r' aligns right.
  explicit Table(std::string_view columns) : columns_(columns) {}

  // REQUIRES: no more cells than columns; missing ones are empty.
  void AddRow(std::vector<std::string> cells);
  // All rows, each ending in a newline and none in a blank.
  std::string Text() const;

 private:
  std::string columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_TABLE_H_
