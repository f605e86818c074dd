// UTF-8 steps: where the next character ends and whether it is well formed.
//
// Follows the Unicode Standard, table 3-7 (well-formed byte sequences) and the
// "maximal subpart" practice for what is not: an ill-formed sequence ends
// before the first byte that cannot continue it, so every caller agrees on how
// many replacement characters a broken string has.
//
// Thread safety: pure functions.
#ifndef SLUICE_ENGINE_UTF8_H_
#define SLUICE_ENGINE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

struct Utf8Step {
  std::size_t length = 1;   // bytes taken, at least 1
  bool valid = false;       // one whole, well-formed character
  bool truncated = false;   // could become valid with more bytes
  char32_t code_point = 0;  // only if valid
};

// The character, or maximal ill-formed part, at the start of `text`.
// REQUIRES: text not empty.
inline Utf8Step NextUtf8(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return static_cast<std::uint8_t>(text[i]);
  };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {1, true, false, lead};
  if (lead < 0xC2 || lead > 0xF4) return {};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t code_point = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {i, false, true, 0};
    // Only the second byte has a narrower range: no overlong forms, no
    // surrogates, nothing above U+10FFFF.
    std::uint8_t low = 0x80;
    std::uint8_t high = 0xBF;
    if (i == 1 && lead == 0xE0) low = 0xA0;
    if (i == 1 && lead == 0xED) high = 0x9F;
    if (i == 1 && lead == 0xF0) low = 0x90;
    if (i == 1 && lead == 0xF4) high = 0x8F;
    if (byte(i) < low || byte(i) > high) return {i, false, false, 0};
    code_point = (code_point << 6) | (byte(i) & 0x3FU);
  }
  return {length, true, false, code_point};
}

}  // namespace sluice

#endif  // SLUICE_ENGINE_UTF8_H_
