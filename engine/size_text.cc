#include "engine/size_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>

namespace sluice {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Removes the digits at the start of `text`.
std::string_view TakeDigits(std::string_view& text) {
  std::size_t count = 0;
  while (count < text.size() && IsDigit(text[count])) ++count;
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

// 0, 10, 20, 30 or 40: the power of two of a unit; -1 for none.
int UnitShift(std::string_view unit) {
  if (unit.empty()) return 0;
  constexpr std::string_view kUnits = "bkmgt";
  const std::size_t at = kUnits.find(Lower(unit[0]));
  if (at == std::string_view::npos) return -1;
  unit.remove_prefix(1);
  if (at == 0) return unit.empty() ? 0 : -1;
  if (unit.size() == 2 && Lower(unit[0]) == 'i') unit.remove_prefix(1);
  if (unit.size() > 1 || (unit.size() == 1 && Lower(unit[0]) != 'b')) return -1;
  return static_cast<int>(at) * 10;
}

// The bytes of 0.`digits` units of 2^`shift`. Beyond 18 digits nothing can
// change a whole byte that anyone means.
std::uint64_t FractionBytes(std::string_view digits, int shift) {
  std::uint64_t numerator = 0;
  std::uint64_t denominator = 1;
  for (const char c : digits.substr(0, 18)) {
    numerator = numerator * 10 + static_cast<std::uint64_t>(c - '0');
    denominator *= 10;
  }
  // Long division, one bit of the unit at a time: no overflow, no rounding.
  std::uint64_t bytes = 0;
  for (int bit = 0; bit < shift; ++bit) {
    numerator *= 2;
    bytes *= 2;
    if (numerator >= denominator) {
      numerator -= denominator;
      bytes += 1;
    }
  }
  return bytes;
}

}  // namespace

Result<std::uint64_t> ParseSize(std::string_view text) {
  const auto bad = [text](const char* why) {
    std::string shown(text);
    std::replace_if(
        shown.begin(), shown.end(), [](unsigned char c) { return c < ' '; },
        '?');
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a size: {}", shown, why));
  };
  constexpr const char* kForm = "write a number and K, M, G or T, as in 512M";
  std::string_view rest = text;
  const std::string_view whole = TakeDigits(rest);
  std::string_view fraction;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    fraction = TakeDigits(rest);
    if (fraction.empty()) return bad(kForm);
  }
  if (whole.empty()) return bad(kForm);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const int shift = UnitShift(rest);
  if (shift < 0) return bad(kForm);
  std::uint64_t value = 0;
  for (const char c : whole) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (kMax - digit) / 10) return bad("it is too large");
    value = value * 10 + digit;
  }
  if (value > kMax >> shift) return bad("it is too large");
  return (value << shift) + FractionBytes(fraction, shift);
}

std::string FormatSize(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  double value = static_cast<double>(bytes) / 1024;
  // 1023.5 would print as 1024; it is 1.0 of the next unit.
  while (unit + 1 < std::size(kUnits) && value >= 1023.5) {
    value /= 1024;
    ++unit;
  }
  return value < 99.95 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                       : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

}  // namespace sluice
