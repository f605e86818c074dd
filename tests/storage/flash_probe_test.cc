// The flash probe: its figures are sane, its choice follows its rule, and it
// leaves nothing behind.
#include "storage/flash_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/storage/device_test_util.h"

namespace sluice::storage {
namespace {

using testing::HasSubstr;

FlashProbeOptions SmallProbe(const std::string& path) {
  FlashProbeOptions options;
  options.path = path;
  options.request_bytes = {4 << 10, 64 << 10};
  options.depths = {1, 8};
  options.seconds_per_point = 0.002;
  options.scratch_bytes = 2 << 20;
  return options;
}

void ExpectSane(const FlashPoint& point) {
  EXPECT_GE(point.requests, point.depth);
  EXPECT_GT(point.bytes_per_second, 0);
  EXPECT_GT(point.median_latency, 0);
  EXPECT_GE(point.p99_latency, point.median_latency);
}

TEST(FlashProbe, MeasuresEveryPointOfAFile) {
  const ScratchDir folder;
  const std::string path = folder.File("file");
  WriteTestFile(path, 1, (1 << 20) + 5);
  for (const DeviceKind kind :
       {DeviceKind::kAuto, DeviceKind::kPread, DeviceKind::kMemory}) {
    FlashProbeOptions options = SmallProbe(path);
    options.device = kind;
    std::size_t calls = 0;
    options.progress = [&calls](std::size_t done, std::size_t total) {
      EXPECT_EQ(done, ++calls);
      EXPECT_EQ(total, 4U);
      return true;
    };
    const auto report = ProbeFlash(options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_FALSE(report->scratch);
    EXPECT_EQ(report->file_bytes, (1U << 20) + 5);
    EXPECT_FALSE(report->device.empty());
    ASSERT_EQ(report->points.size(), 4U);
    EXPECT_EQ(calls, 4U);
    for (const FlashPoint& point : report->points) ExpectSane(point);
    EXPECT_EQ(report->points[1].request_bytes, 4U << 10);
    EXPECT_EQ(report->points[1].depth, 8U);
    EXPECT_EQ(report->points[2].request_bytes, 64U << 10);
  }
}

TEST(FlashProbe, LeavesNothingInAFolder) {
  const ScratchDir folder;
  std::filesystem::create_directory(folder.File("target"));
  const auto report = ProbeFlash(SmallProbe(folder.File("target")));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->scratch);
  EXPECT_EQ(report->file_bytes, 2U << 20);
  EXPECT_EQ(report->points.size(), 4U);
  EXPECT_TRUE(std::filesystem::is_empty(folder.File("target")));
}

TEST(FlashProbe, LeavesOutWhatDoesNotFit) {
  const ScratchDir folder;
  const std::string path = folder.File("file");
  WriteTestFile(path, 1, 32 << 10);
  auto report = ProbeFlash(SmallProbe(path));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->points.size(), 2U);  // those of 4 KiB

  WriteTestFile(path, 1, 4 << 20);
  FlashProbeOptions options = SmallProbe(path);
  options.request_bytes = {4 << 20};
  options.depths = {1, 64};  // 256 MiB in flight
  report = ProbeFlash(options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->points.size(), 1U);
}

TEST(FlashProbe, StopsWhenToldTo) {
  const ScratchDir folder;
  const std::string path = folder.File("file");
  WriteTestFile(path, 1, 1 << 20);
  FlashProbeOptions options = SmallProbe(path);
  options.progress = [](std::size_t, std::size_t) { return false; };
  const auto report = ProbeFlash(options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
}

TEST(FlashProbe, BadTargetsAreErrors) {
  const ScratchDir folder;
  const auto missing = ProbeFlash(SmallProbe(folder.File("none")));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("none"));

  WriteTestFile(folder.File("tiny"), 1, 100);
  const auto tiny = ProbeFlash(SmallProbe(folder.File("tiny")));
  ASSERT_FALSE(tiny);
  EXPECT_EQ(tiny.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(tiny.error().message, HasSubstr("too small"));

  const auto special = ProbeFlash(SmallProbe("/dev/null"));
  ASSERT_FALSE(special);
  EXPECT_EQ(special.error().code, ErrorCode::kInvalidArgument);

  FlashProbeOptions huge = SmallProbe(folder.File(""));
  huge.scratch_bytes = std::uint64_t{1} << 60;
  const auto full = ProbeFlash(huge);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kIo);
  EXPECT_THAT(full.error().message, HasSubstr("are free"));
}

TEST(FlashProbe, BadOptionsAreErrors) {
  const auto refused = [](auto change) {
    FlashProbeOptions options = SmallProbe("/dev/null");
    change(options);
    const auto report = ProbeFlash(options);
    return !report && report.error().code == ErrorCode::kInvalidArgument &&
           report.error().message.starts_with("flash probe: ");
  };
  EXPECT_TRUE(refused([](auto& o) { o.request_bytes = {}; }));
  EXPECT_TRUE(refused([](auto& o) { o.request_bytes = {4097}; }));
  EXPECT_TRUE(refused([](auto& o) { o.request_bytes = {8 << 20}; }));
  EXPECT_TRUE(refused([](auto& o) { o.depths = {}; }));
  EXPECT_TRUE(refused([](auto& o) { o.depths = {0}; }));
  EXPECT_TRUE(refused([](auto& o) { o.depths = {65}; }));
  EXPECT_TRUE(refused([](auto& o) { o.seconds_per_point = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.seconds_per_point = 1e9; }));
  EXPECT_TRUE(refused([](auto& o) { o.scratch_bytes = 4097; }));
}

FlashPoint Point(std::size_t bytes, unsigned depth, double rate) {
  return {.request_bytes = bytes, .depth = depth, .bytes_per_second = rate};
}

TEST(ChooseShape, TakesTheFewestBytesInFlightThatAreFastEnough) {
  EXPECT_FALSE(ChooseShape({}));
  const std::vector<FlashPoint> points = {
      Point(65536, 4, 500),    Point(65536, 16, 940),  Point(262144, 4, 950),
      Point(262144, 16, 1000), Point(1048576, 1, 955), Point(1048576, 4, 990),
  };
  const auto choice = ChooseShape(points);
  ASSERT_TRUE(choice);
  // The same bytes in flight as four of 262144, but fewer requests.
  EXPECT_EQ(choice->piece_bytes, 1048576U);
  EXPECT_EQ(choice->depth, 1U);
  EXPECT_EQ(choice->bytes_per_second, 955);
  EXPECT_EQ(choice->best_bytes_per_second, 1000);
}

}  // namespace
}  // namespace sluice::storage
