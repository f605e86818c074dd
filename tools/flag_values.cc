#include "tools/flag_values.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "engine/size_text.h"

namespace sluice::tools {
namespace {

// The last of "-n,--predict": what messages call the flag.
std::string LongName(const std::string& names) {
  return names.substr(names.rfind(',') + 1);
}

[[noreturn]] void Refuse(const Flag& flag, std::string_view value,
                         std::string_view cure) {
  throw CLI::ValidationError(LongName(flag.names),
                             fmt::format("'{:.60}' is not {}", value, cure));
}

// Help texts start in column 32.
constexpr std::size_t kHelpWidth = 48;

std::string Wrap(const std::string& help) {
  std::string wrapped;
  std::size_t line_start = 0;
  for (std::size_t at = 0; at < help.size();) {
    const std::size_t end = std::min(help.find(' ', at), help.size());
    const std::size_t width = wrapped.size() - line_start + 1 + (end - at);
    if (at > 0 && width > kHelpWidth) {
      wrapped += '\n';
      line_start = wrapped.size();
    } else if (at > 0) {
      wrapped += ' ';
    }
    wrapped.append(help, at, end - at);
    at = end + 1;
  }
  return wrapped;
}

// `parse` gets the flag's value and throws through Refuse.
CLI::Option* AddParsed(CLI::App& app, const Flag& flag,
                       std::function<void(const std::string&)> parse) {
  auto callback = [parse = std::move(parse)](const CLI::results_t& values) {
    parse(values.back());
    return true;
  };
  return app.add_option(flag.names, std::move(callback), Wrap(flag.help))
      ->option_text(flag.value.empty() ? " " : flag.value)
      ->group(flag.group)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

template <typename Number>
std::optional<Number> Parse(const std::string& text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

std::string Describe(IntegerRange range) {
  if (range.most >= std::numeric_limits<std::int32_t>::max()) {
    return fmt::format("a whole number, {} or more", range.least);
  }
  return fmt::format("a whole number from {} to {}", range.least, range.most);
}

}  // namespace

CLI::Option* AddText(CLI::App& app, const Flag& flag, std::string* target) {
  return AddParsed(app, flag,
                   [target](const std::string& text) { *target = text; });
}

CLI::Option* AddText(CLI::App& app, const Flag& flag,
                     std::optional<std::string>* target) {
  return AddParsed(app, flag,
                   [target](const std::string& text) { *target = text; });
}

CLI::Option* AddInteger(CLI::App& app, const Flag& flag, IntegerRange range,
                        std::function<void(std::int64_t)> set) {
  return AddParsed(
      app, flag, [flag, range, set = std::move(set)](const std::string& text) {
        const auto number = Parse<std::int64_t>(text);
        if (!number || *number < range.least || *number > range.most) {
          Refuse(flag, text, Describe(range));
        }
        set(*number);
      });
}

CLI::Option* AddReal(CLI::App& app, const Flag& flag, RealRange range,
                     float* target) {
  return AddParsed(app, flag, [flag, range, target](const std::string& text) {
    const auto number = Parse<double>(text);
    if (!number || !std::isfinite(*number) || *number < range.least ||
        *number > range.most) {
      Refuse(flag, text,
             fmt::format("a number from {} to {}", range.least, range.most));
    }
    *target = static_cast<float>(*number);
  });
}

CLI::Option* AddSize(CLI::App& app, const Flag& flag,
                     std::optional<std::uint64_t>* target) {
  return AddParsed(app, flag, [flag, target](const std::string& text) {
    target->reset();
    if (text == "auto") return;
    const Result<std::uint64_t> size = ParseSize(text);
    if (!size || *size == 0) {
      Refuse(flag, text, "a size such as 512M or 2G, or 'auto'");
    }
    *target = *size;
  });
}

CLI::Option* AddChoice(CLI::App& app, const Flag& flag,
                       std::vector<std::string> choices,
                       std::function<void(std::size_t)> set) {
  return AddParsed(
      app, flag,
      [flag, choices = std::move(choices),
       set = std::move(set)](const std::string& text) {
        const auto found = std::find(choices.begin(), choices.end(), text);
        if (found == choices.end()) {
          Refuse(flag, text,
                 fmt::format("one of {}", fmt::join(choices, ", ")));
        }
        set(static_cast<std::size_t>(found - choices.begin()));
      });
}

CLI::Option* AddChoiceOrFile(
    CLI::App& app, const Flag& flag, std::vector<std::string> choices,
    std::function<void(std::string, std::string)> set) {
  return AddParsed(
      app, flag,
      [flag, choices = std::move(choices),
       set = std::move(set)](const std::string& text) {
        const std::size_t colon = text.find(':');
        const bool with_file = colon != std::string::npos;
        const std::string choice =
            text.substr(0, with_file ? colon + 1 : colon);
        const std::string file = with_file ? text.substr(colon + 1) : "";
        if (std::find(choices.begin(), choices.end(), choice) ==
                choices.end() ||
            with_file == file.empty()) {
          std::string known =
              fmt::format("one of {}", fmt::join(choices, ", "));
          Refuse(flag, text, known.ends_with(':') ? known + "FILE" : known);
        }
        set(text.substr(0, colon), file);
      });
}

CLI::Option* AddSwitch(CLI::App& app, const Flag& flag, bool* target) {
  return app.add_flag(flag.names, *target, Wrap(flag.help))
      ->group(flag.group)
      ->disable_flag_override()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

}  // namespace sluice::tools
