// Sizes as people write them: "512M", "1.5G", "1.9 GiB". Units are powers of
// 1024, whichever way they are spelled.
//
// Part of the public API: programs read --memory with it.
//
// Thread safety: free functions without state.
#ifndef SLUICE_ENGINE_SIZE_TEXT_H_
#define SLUICE_ENGINE_SIZE_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/result.h"

namespace sluice {

// Digits, optionally a point and more digits, optionally blanks, optionally a
// unit: K, M, G or T (any case), each bare or followed by B or iB; or B. No
// unit means bytes. A fraction of a byte is dropped. Zero is a size; signs and
// exponents are not. "auto" is the caller's word.
// Returns: kInvalidArgument naming the text.
Result<std::uint64_t> ParseSize(std::string_view text);

// "0 B", "1023 B", "1.0 KiB", "1.9 GiB", "120 GiB": one decimal below 100
// units, rounded to nearest; the largest unit that leaves at least 1.
std::string FormatSize(std::uint64_t bytes);

}  // namespace sluice

#endif  // SLUICE_ENGINE_SIZE_TEXT_H_
