// Precision maps: what is written is read back, and nothing else is.
#include "engine/precision_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr MapModel kModel = {
    .checksum = 0x3b1f00c29ad5e871, .layers = 2, .experts = 4};
constexpr const char* kText =
    "sluice precision map 1\n"
    "model 3b1f00c29ad5e871\n"
    "layers 2\n"
    "experts 4\n"
    "4442\n"
    "2444\n";

PrecisionMap Example() {
  PrecisionMap map(kModel);
  map.SetLow({0, 3});
  map.SetLow({1, 0});
  return map;
}

// The error of parsing `text`.
Error Refusal(const std::string& text) {
  const auto map = ParsePrecisionMap(text, "x.map");
  return map ? Error{ErrorCode::kInternal, "it was read"} : map.error();
}

TEST(PrecisionMap, IsTheTextThatItsHeaderSpecifies) {
  EXPECT_EQ(EncodePrecisionMap(Example()), kText);
  const auto map = ParsePrecisionMap(kText, "x.map");
  ASSERT_TRUE(map.has_value()) << map.error().message;
  EXPECT_EQ(map->model(), kModel);
  EXPECT_EQ(map->low(), Example().low());
  EXPECT_EQ(map->low_count(), 2u);
}

// One flipped bit is no text of a map, or that of another model.
TEST(PrecisionMap, EveryFlippedBitIsNoticed) {
  const std::string good = kText;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      const auto map = ParsePrecisionMap(bad, "x.map");
      if (!map) {
        EXPECT_EQ(map.error().code, ErrorCode::kCorrupt) << i;
        EXPECT_EQ(map.error().message.find('\n'), std::string::npos) << i;
      } else {
        EXPECT_FALSE(CheckMap(*map, kModel, "x.map").has_value()) << i;
      }
    }
  }
}

TEST(PrecisionMap, EveryShorterOrLongerTextIsRefused) {
  const std::string good = kText;
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_EQ(Refusal(good.substr(0, length)).code, ErrorCode::kCorrupt)
        << length;
  }
  for (const char* more : {"\n", "4444\n", " "}) {
    EXPECT_THAT(Refusal(good + more).message, HasSubstr("goes on"));
  }
}

TEST(PrecisionMap, RefusalNamesFileLineAndCure) {
  const std::string head = "sluice precision map 1\nmodel 3b1f00c29ad5e871\n";
  const Error digit = Refusal(head + "layers 2\nexperts 4\n4442\n2434\n");
  EXPECT_THAT(digit.message, HasSubstr("x.map: line 6"));
  EXPECT_THAT(digit.message, HasSubstr("sluice calibrate"));
  EXPECT_THAT(Refusal(head + "layers 02\n").message, HasSubstr("line 3"));
  EXPECT_THAT(Refusal(head + "layers 0\nexperts 4\n").message,
              HasSubstr("sensible"));
  EXPECT_THAT(Refusal(head + "layers 65535\nexperts 65535\n").message,
              HasSubstr("sensible"));
  EXPECT_THAT(Refusal(head + "layers 4000\nexperts 4000\n").message,
              HasSubstr("shorter"));
  EXPECT_THAT(Refusal(head + "layers 70000\nexperts 4\n").message,
              HasSubstr("line 3"));
  EXPECT_THAT(Refusal("sluice precision map 2\n").message,
              HasSubstr("sluice precision map 1"));
}

TEST(PrecisionMap, IsOfOneModel) {
  EXPECT_TRUE(CheckMap(Example(), kModel, "x.map").has_value());
  MapModel other = kModel;
  other.checksum = 0xbad;
  const auto checked = CheckMap(Example(), other, "x.map");
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(checked.error().message, HasSubstr("x.map"));
  EXPECT_THAT(checked.error().message, HasSubstr("0000000000000bad"));
}

TEST(PrecisionMap, FileIsReadOrNamed) {
  const std::string path = ::testing::TempDir() + "precision_map_test.map";
  std::ofstream(path) << kText;
  const auto map = ReadPrecisionMap(path);
  ASSERT_TRUE(map.has_value()) << map.error().message;
  EXPECT_EQ(map->low(), Example().low());
  std::filesystem::remove(path);
  const auto missing = ReadPrecisionMap(path);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr(path));
  EXPECT_FALSE(ReadPrecisionMap(::testing::TempDir()).has_value());
}

}  // namespace
}  // namespace sluice
