// Which columns matter: what is measured of a model's activations, and how few
// tokens are made up for.
#include "engine/column_importance.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace sluice {
namespace {

const std::string kModel =
    SLUICE_SOURCE_DIR "/tests/data/quants/micro-Q8_0.gguf";

using Floats = std::vector<float>;

TEST(ColumnImportance, WithoutTokensAllColumnsAreAlike) {
  const ColumnImportance importance(2, 3, 4, 2);
  EXPECT_EQ(importance.Of({1, 2}, 0), Floats(4, 1.0F));
  EXPECT_EQ(importance.Of({1, 2}, 2), Floats(2, 1.0F));
}

TEST(ColumnImportance, IsTheMeanSquareOfEachInput) {
  ColumnImportance importance(1, 1, 2, 3);
  for (int i = 0; i < 2; ++i) {
    importance.Add({0, 0}, Floats{1, -3}, Floats{2, 0, 2});
  }
  for (const std::size_t part : {0, 1}) {
    const Floats columns = importance.Of({0, 0}, part);
    EXPECT_FLOAT_EQ(columns[1] / columns[0], 9.0F);
    EXPECT_FLOAT_EQ(columns[0] + columns[1], 2.0F);  // of mean 1
  }
  const Floats columns = importance.Of({0, 0}, 2);
  EXPECT_FLOAT_EQ(columns[0], 1.5F);
  EXPECT_FLOAT_EQ(columns[2], 1.5F);
  EXPECT_GT(columns[1], 0.0F);  // never used, and still worth something
  EXPECT_LT(columns[1], 0.01F);
}

TEST(ColumnImportance, ManyTokensOutweighTheLayer) {
  ColumnImportance importance(1, 2, 2, 1);
  for (int i = 0; i < 1000; ++i) {
    importance.Add({0, 0}, Floats{1, 0}, Floats{1});
  }
  const auto share = [&] {
    const Floats columns = importance.Of({0, 1}, 0);
    return columns[1] / (columns[0] + columns[1]);
  };
  EXPECT_LT(share(), 0.01F);  // the layer's, as long as it has none of its own
  importance.Add({0, 1}, Floats{0, 1}, Floats{1});
  const float few = share();
  for (int i = 0; i < 1000; ++i) {
    importance.Add({0, 1}, Floats{0, 1}, Floats{1});
  }
  EXPECT_LT(few, 0.1F);
  EXPECT_GT(share(), 0.95F);
}

TEST(ColumnImportance, LayersAreApart) {
  ColumnImportance importance(2, 1, 2, 1);
  importance.Add({0, 0}, Floats{1, 0}, Floats{1});
  EXPECT_EQ(importance.Of({1, 0}, 0), Floats(2, 1.0F));
  EXPECT_NE(importance.Of({0, 0}, 0), Floats(2, 1.0F));
}

TEST(MeasureImportance, DependsOnTheTextAlone) {
  const auto measure = [](const char* text) {
    auto importance = MeasureImportance(kModel, text, {});
    EXPECT_TRUE(importance) << importance.error().message;
    return importance->Hash();
  };
  const std::uint64_t once = measure("Once upon a time there was a test.");
  EXPECT_EQ(once, measure("Once upon a time there was a test."));
  EXPECT_NE(once, measure("Twice upon a time there was a test."));
}

TEST(MeasureImportance, SeesEveryLayer) {
  const auto importance = MeasureImportance(kModel, "some words of text", {});
  ASSERT_TRUE(importance) << importance.error().message;
  for (const std::uint16_t layer : {0, 1}) {
    for (const std::size_t part : {0, 2}) {
      const Floats columns = importance->Of({layer, 0}, part);
      EXPECT_NE(columns, Floats(columns.size(), 1.0F)) << layer << " " << part;
      EXPECT_NEAR(std::accumulate(columns.begin(), columns.end(), 0.0),
                  static_cast<double>(columns.size()), 1.0);
    }
  }
}

TEST(MeasureImportance, RefusesNoText) {
  const auto importance = MeasureImportance(kModel, "", {});
  ASSERT_FALSE(importance);
  EXPECT_EQ(importance.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
