#include "engine/size_text.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

TEST(SizeTextTest, ParsesNumbersAndUnits) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0},
      {"1", 1},
      {"4096", 4096},
      {"7B", 7},
      {"1K", 1024},
      {"2k", 2048},
      {"40M", 40 << 20},
      {"512M", 512 << 20},
      {"512m", 512 << 20},
      {"512MB", 512 << 20},
      {"512MiB", 512 << 20},
      {"512mib", 512 << 20},
      {"2G", 2 * kGib},
      {"2 GiB", 2 * kGib},
      {"1.5G", kGib + kGib / 2},
      {"1.0000000000000000000000000000G", kGib},
      {"0.25K", 256},
      {"0.5", 0},
      {"0.1K", 102},
      {"1.9 GiB", 2040109465},
      {"3T", 3 * 1024 * kGib},
      {"16777215T", std::uint64_t{16777215} << 40},
      {"16777215.999999999999999999T", 18446744073709551615u},
      {"18446744073709551615", 18446744073709551615u},
  };
  for (const auto& [text, bytes] : cases) {
    const auto size = ParseSize(text);
    ASSERT_TRUE(size.has_value()) << text;
    EXPECT_EQ(*size, bytes) << text;
  }
}

TEST(SizeTextTest, RefusesEverythingElseNamingTheText) {
  for (const char* text : {"",          " ",
                           "M",         "auto",
                           "-1",        "+1",
                           "1e9",       "1,5G",
                           ".5G",       "1.G",
                           "1..5G",     "1.5.5G",
                           "12X",       "12MX",
                           "12Mi",      "12MBB",
                           "12BB",      "12iB",
                           " 12M",      "12M ",
                           "0x10",      "1M1",
                           "G1",        "18446744073709551616",
                           "16777216T", "99999999999999999999999G",
                           "\xff",      "12\xc2\xb5"}) {
    const auto size = ParseSize(text);
    ASSERT_FALSE(size.has_value()) << text;
    EXPECT_EQ(size.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(size.error().message,
                testing::HasSubstr(fmt::format("'{}'", text)));
  }
}

TEST(SizeTextTest, ErrorsAreOneLine) {
  const auto size = ParseSize("1\nM\t");
  ASSERT_FALSE(size.has_value());
  EXPECT_THAT(size.error().message, testing::HasSubstr("'1?M?'"));
}

TEST(SizeTextTest, Formats) {
  const std::pair<std::uint64_t, const char*> cases[] = {
      {0, "0 B"},
      {1023, "1023 B"},
      {1024, "1.0 KiB"},
      {1536, "1.5 KiB"},
      {99 * 1024, "99.0 KiB"},
      {120 * kGib, "120 GiB"},
      {2040109466, "1.9 GiB"},
      {kGib - 1, "1.0 GiB"},
      {1023 * 1024 * 1024, "1023 MiB"},
      {5 * 1024 * kGib, "5.0 TiB"},
      {18446744073709551615u, "16777216 TiB"},
  };
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(FormatSize(bytes), text);
  }
}

TEST(SizeTextTest, WhatIsFormattedParsesToNearlyTheSame) {
  for (std::uint64_t bytes = 1; bytes < std::uint64_t{1} << 60;
       bytes = bytes * 3 + 1) {
    const auto parsed = ParseSize(FormatSize(bytes));
    ASSERT_TRUE(parsed.has_value()) << bytes;
    EXPECT_NEAR(static_cast<double>(*parsed), static_cast<double>(bytes),
                0.06 * static_cast<double>(bytes));
  }
}

}  // namespace
}  // namespace sluice
