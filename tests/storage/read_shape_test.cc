// The shape in which experts are read best: one of those that it tries, and
// that of the device's defaults where there is no time to try others.
#include "storage/read_shape.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/storage/device_test_util.h"

namespace sluice::storage {
namespace {

ReadShapeOptions Options(const std::string& path) {
  ReadShapeOptions options;
  options.path = path;
  options.request_bytes = 100000;
  options.most_bytes = 1 << 20;
  return options;
}

TEST(ReadShape, IsChosenFromAFile) {
  const ScratchDir folder;
  const std::string path = folder.File("file");
  WriteTestFile(path, 1, (2 << 20) + 5);
  for (const DeviceKind kind : {DeviceKind::kAuto, DeviceKind::kPread}) {
    ReadShapeOptions options = Options(path);
    options.device = kind;
    const auto choice = ChooseReadShape(options);
    ASSERT_TRUE(choice) << choice.error().message;
    EXPECT_GE(choice->piece_bytes, 256U << 10);
    EXPECT_LE(choice->piece_bytes, 2U << 20);
    EXPECT_GE(choice->depth, 4U);
    EXPECT_LE(choice->depth, 32U);
    EXPECT_GE(1.05 * choice->bytes_per_second, choice->best_bytes_per_second);
  }
}

TEST(ReadShape, IsTheDefaultWithoutTime) {
  const ScratchDir folder;
  const std::string path = folder.File("file");
  WriteTestFile(path, 1, 2 << 20);
  ReadShapeOptions options = Options(path);
  options.most_seconds = 0;
  const auto choice = ChooseReadShape(options);
  ASSERT_TRUE(choice) << choice.error().message;
  EXPECT_EQ(choice->piece_bytes, DeviceOptions().piece_bytes);
  EXPECT_EQ(choice->depth, DeviceOptions().depth);
}

TEST(ReadShape, RatesOfAShapeAreMeasured) {
  const ScratchDir folder;
  const std::string path = folder.File("file");
  WriteTestFile(path, 1, 2 << 20);
  ReadShapeOptions options = Options(path);
  for (const double seconds : {0.0, 0.01}) {
    options.most_seconds = seconds;
    const auto rates = MeasureReadRates(options, 256 << 10, 4);
    ASSERT_TRUE(rates) << rates.error().message;
    EXPECT_GT(rates->bytes_per_second, 0);
    EXPECT_GE(rates->latency_seconds, 0);
  }
  options.most_bytes = 1;
  EXPECT_FALSE(MeasureReadRates(options, 256 << 10, 4));
}

TEST(ReadShape, NeedsRoomForARequest) {
  const ScratchDir folder;
  const std::string path = folder.File("file");
  WriteTestFile(path, 1, 102400);  // 25 pages
  ReadShapeOptions options = Options(path);
  options.most_bytes = 102400;
  EXPECT_TRUE(ChooseReadShape(options));
  options.most_bytes = 102399;
  EXPECT_FALSE(ChooseReadShape(options));
  options.most_bytes = 1 << 20;
  options.request_bytes = 102401;
  const auto small = ChooseReadShape(options);
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, ErrorCode::kInvalidArgument);
  options.path = folder.File("none");
  const auto missing = ChooseReadShape(options);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace sluice::storage
