// Flags with checked values: each helper adds one option to a command whose
// value is parsed completely, kept in its range and reported by the flag's name
// when it is wrong. A repeated flag takes its last value.
//
// Thread safety: thread-compatible. The targets must outlive the parsing.
#ifndef SLUICE_TOOLS_FLAG_VALUES_H_
#define SLUICE_TOOLS_FLAG_VALUES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/cli_fwd.h"

namespace sluice::tools {

// How a flag looks in the help text.
struct Flag {
  std::string names;  // "-n,--predict"; a bare word is positional
  std::string value;  // "N"
  std::string help;   // with the default in it; wrapped by the helpers
  std::string group = "Options";
};

struct IntegerRange {
  std::int64_t least;
  std::int64_t most;
};

struct RealRange {
  double least;
  double most;
};

CLI::Option* AddText(CLI::App& app, const Flag& flag, std::string* target);
CLI::Option* AddText(CLI::App& app, const Flag& flag,
                     std::optional<std::string>* target);
CLI::Option* AddInteger(CLI::App& app, const Flag& flag, IntegerRange range,
                        std::function<void(std::int64_t)> set);
// Also refuses infinities and NaN.
CLI::Option* AddReal(CLI::App& app, const Flag& flag, RealRange range,
                     float* target);
// "512M", "2G" or "auto", which clears the target.
CLI::Option* AddSize(CLI::App& app, const Flag& flag,
                     std::optional<std::uint64_t>* target);
// One of `choices`; `set` gets its index.
CLI::Option* AddChoice(CLI::App& app, const Flag& flag,
                       std::vector<std::string> choices,
                       std::function<void(std::size_t)> set);
// One of `choices`; after one that ends in a colon stands a file. `set` gets
// the choice without its colon, and the file, or an empty one.
CLI::Option* AddChoiceOrFile(
    CLI::App& app, const Flag& flag, std::vector<std::string> choices,
    std::function<void(std::string choice, std::string file)> set);
// A flag without a value.
CLI::Option* AddSwitch(CLI::App& app, const Flag& flag, bool* target);

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_FLAG_VALUES_H_
