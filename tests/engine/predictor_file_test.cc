#include "engine/predictor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr RouterShape kShape = {.layers = 2, .experts = 4, .experts_used = 2};

TransitionTable Example() {
  return {kShape, std::vector<float>(8, 0.5F),
          std::vector<std::int8_t>(2 * 4 * 4, 3)};
}

class PredictorFile : public ::testing::Test {
 protected:
  ~PredictorFile() override { std::filesystem::remove(path_); }

  void Write(const std::vector<std::byte>& bytes) {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  // The error of reading it.
  Error Refusal() {
    const auto table = ReadPredictorFile(path_);
    return table ? Error{ErrorCode::kInternal, "it was read"} : table.error();
  }

  const std::string path_ =
      ::testing::TempDir() + "predictor_file_test." +
      ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(PredictorFile, IsReadBackAsWritten) {
  Write(EncodePredictorFile(Example()));
  const auto table = ReadPredictorFile(path_);
  ASSERT_TRUE(table.has_value()) << table.error().message;
  EXPECT_EQ(table->Serialize(), Example().Serialize());
}

TEST_F(PredictorFile, EveryFlippedBitIsNoticed) {
  const std::vector<std::byte> good = EncodePredictorFile(Example());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{0x10};
    Write(bad);
    EXPECT_EQ(Refusal().code, ErrorCode::kCorrupt) << i;
  }
}

TEST_F(PredictorFile, EveryShorterFileIsRefused) {
  const std::vector<std::byte> good = EncodePredictorFile(Example());
  for (std::size_t length = 0; length < good.size(); length += 5) {
    Write({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)});
    EXPECT_EQ(Refusal().code, ErrorCode::kCorrupt) << length;
  }
}

TEST_F(PredictorFile, IsOfOneShapeOfModel) {
  EXPECT_TRUE(CheckTable(Example(), kShape, path_).has_value());
  const auto checked = CheckTable(
      Example(), {.layers = 3, .experts = 4, .experts_used = 2}, path_);
  ASSERT_FALSE(checked.has_value());
  const Error& error = checked.error();
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("2 layers with 2 of 4"));
  EXPECT_THAT(error.message, HasSubstr("3 with 2 of 4"));
}

TEST_F(PredictorFile, MissingFileIsNamed) {
  const Error error = Refusal();
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_THAT(error.message, HasSubstr(path_));
}

}  // namespace
}  // namespace sluice
