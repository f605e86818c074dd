#include "predictor/transition_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr RouterShape kShape = {.layers = 2, .experts = 2, .experts_used = 1};

TransitionTable Example() {
  return {kShape, {0.25F, 0.75F, 0.5F, 1.0F}, {1, -2, 3, -4, 5, -6, 7, -128}};
}

// The message of Parse; "fine" when there is none.
std::string Problem(const std::vector<std::byte>& bytes) {
  std::string problem = "fine";
  TransitionTable::Parse(bytes, problem);
  return problem;
}

TEST(TransitionTable, IsReadBackAsWritten) {
  const std::vector<std::byte> bytes = Example().Serialize();
  std::string problem;
  const auto read = TransitionTable::Parse(bytes, problem);
  ASSERT_TRUE(read.has_value()) << problem;
  EXPECT_EQ(read->shape(), kShape);
  EXPECT_THAT(read->Popularity(1), ElementsAre(0.5F, 1.0F));
  EXPECT_THAT(read->Lift(0, 1), ElementsAre(3, -4));
  EXPECT_THAT(read->Lift(1, 1), ElementsAre(7, -128));
  EXPECT_EQ(read->Serialize(), bytes);
}

TEST(TransitionTable, RefusesEveryOtherLength) {
  std::vector<std::byte> bytes = Example().Serialize();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_NE(Problem({bytes.begin(), bytes.begin() + length}), "fine")
        << length;
  }
  bytes.push_back({});
  EXPECT_THAT(Problem(bytes), HasSubstr("length"));
}

TEST(TransitionTable, RefusesForeignBytesAndVersions) {
  std::vector<std::byte> bytes = Example().Serialize();
  bytes[8] = std::byte{2};
  EXPECT_THAT(Problem(bytes), HasSubstr("version is 2"));
  bytes[0] = std::byte{'S'};
  EXPECT_THAT(Problem(bytes), HasSubstr("no transition table"));
}

TEST(TransitionTable, RefusesSizesOutOfRange) {
  for (const std::size_t field : {12U, 16U, 20U}) {
    std::vector<std::byte> none = Example().Serialize();
    std::vector<std::byte> many = none;
    none[field] = std::byte{0};
    EXPECT_THAT(Problem(none), HasSubstr("out of range")) << field;
    for (std::size_t i = 0; i < 4; ++i) many[field + i] = std::byte{0xff};
    EXPECT_THAT(Problem(many), HasSubstr("out of range")) << field;
  }
  std::vector<std::byte> used = Example().Serialize();
  used[20] = std::byte{3};
  EXPECT_THAT(Problem(used), HasSubstr("out of range"));
}

TEST(TransitionTable, RefusesPopularitiesThatAreNoProbabilities) {
  for (const float p : {0.0F, -0.5F, 1.5F, std::nanf(""),
                        std::numeric_limits<float>::infinity()}) {
    const TransitionTable table(kShape, {0.25F, 0.75F, p, 1.0F},
                                std::vector<std::int8_t>(8));
    EXPECT_THAT(Problem(table.Serialize()), HasSubstr("popularity")) << p;
  }
}

TEST(TransitionTable, HasABoundOnItsSize) {
  EXPECT_TRUE(
      TransitionTable::Fits({.layers = 64, .experts = 512, .experts_used = 8}));
  EXPECT_FALSE(
      TransitionTable::Fits({.layers = 65, .experts = 512, .experts_used = 8}));
  EXPECT_FALSE(TransitionTable::Fits(
      {.layers = 1, .experts = std::size_t{1} << 40, .experts_used = 8}));
}

}  // namespace
}  // namespace sluice
