// Whether experts are compressed: the rule, on figures of devices and
// processors, and that it is measured where it will matter.
#include "storage/compression_choice.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>

#include "storage/repack.h"
#include "tests/storage/device_test_util.h"
#include "tests/support/container_builder.h"

namespace sluice::storage {
namespace {

constexpr std::uint64_t kEnough = 32 << 20;

CompressionChoice Decided(double ratio, double flash, double decompress,
                          std::uint64_t sample_bytes = kEnough) {
  CompressionChoice choice;
  choice.sample_bytes = sample_bytes;
  choice.ratio = ratio;
  choice.flash_bytes_per_second = flash;
  choice.decompress_bytes_per_second = decompress;
  Decide(choice);
  return choice;
}

TEST(CompressionChoice, HidesTheFasterOfReadingAndUnpackingByHalf) {
  // Reading takes 4 s a GB, unpacking 0.5.
  const CompressionChoice slow = Decided(0.8, 200e6, 2000e6);
  EXPECT_DOUBLE_EQ(slow.stored_seconds, 5);
  EXPECT_DOUBLE_EQ(slow.compressed_seconds, 4.25);
  EXPECT_TRUE(slow.compressed);
  // 0.4 and 1.
  const CompressionChoice fast = Decided(0.8, 2000e6, 1000e6);
  EXPECT_DOUBLE_EQ(fast.stored_seconds, 0.5);
  EXPECT_DOUBLE_EQ(fast.compressed_seconds, 1.2);
  EXPECT_FALSE(fast.compressed);
}

TEST(CompressionChoice, FollowsTheDeviceAndTheWeights) {
  struct Case {
    const char* what;
    double ratio;
    double flash;
    double decompress;
    bool compressed;
  };
  for (const auto& [what, ratio, flash, decompress, compressed] : {
           Case{"SD card, Q8_0", 0.9, 40e6, 1000e6, true},
           Case{"SD card, BF16", 0.75, 40e6, 1000e6, true},
           Case{"SD card, weights like noise", 0.99, 40e6, 1000e6, false},
           Case{"SATA, BF16", 0.75, 200e6, 1000e6, true},
           Case{"SATA, Q4_0", 0.98, 200e6, 1000e6, false},
           Case{"slow processor, BF16", 0.75, 200e6, 150e6, false},
           Case{"NVMe, BF16", 0.75, 3000e6, 1000e6, false},
           Case{"NVMe, mostly zeros", 0.1, 3000e6, 8000e6, true},
       }) {
    EXPECT_EQ(Decided(ratio, flash, decompress).compressed, compressed) << what;
  }
}

// Up to here the gain is within what the measurement scatters.
TEST(CompressionChoice, AsksForAClearGain) {
  // Unpacking takes next to nothing: the ratio alone tells.
  EXPECT_FALSE(Decided(0.96, 100e6, 1e15).compressed);
  EXPECT_TRUE(Decided(0.94, 100e6, 1e15).compressed);
  // Nothing was compressed: nothing to unpack.
  EXPECT_FALSE(Decided(1, 100e6, 1e15).compressed);
}

TEST(CompressionChoice, LeavesSmallModelsAlone) {
  EXPECT_TRUE(Decided(0.5, 100e6, 2000e6, kLeastSampleBytes).compressed);
  EXPECT_FALSE(Decided(0.5, 100e6, 2000e6, kLeastSampleBytes - 1).compressed);
  const test::ScratchFolder folder;
  RepackOptions options = test::SmallRepack(
      folder.Write("in.gguf", test::SmallModel()), folder.Path("out.sluice"));
  options.compress = CompressRecords::kAuto;
  options.force = true;
  for (int i = 0; i < 5; ++i) {
    const auto report = Repack(options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->choice.measured);
    EXPECT_LT(report->choice.ratio, 1);  // it would be smaller
    EXPECT_FALSE(report->compressed);
  }
}

TEST(CompressionChoice, IsMeasuredAndKeptOnResuming) {
  const test::ScratchFolder folder;
  RepackOptions options = test::SmallRepack(
      folder.Write("in.gguf", test::SmallModel()), folder.Path("out.sluice"));
  options.compress = CompressRecords::kAlways;
  int calls = 0;
  options.progress = [&](const RepackProgress&) { return calls++ < 12; };
  ASSERT_FALSE(Repack(options));
  options.progress = {};
  options.compress = CompressRecords::kAuto;
  const auto resumed = Repack(options);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_GT(resumed->resumed_units, 0u);
  EXPECT_TRUE(resumed->compressed);
  EXPECT_FALSE(resumed->choice.measured);
  options.force = true;
  const auto anew = Repack(options);
  ASSERT_TRUE(anew) << anew.error().message;
  EXPECT_TRUE(anew->choice.measured);
  EXPECT_EQ(anew->compressed, anew->choice.compressed);
  EXPECT_GT(anew->choice.flash_bytes_per_second, 0);
}

// The flash that matters is the one that the container will be on.
TEST(CompressionChoice, MeasuresTheDeviceOfTheOutput) {
  const test::ScratchFolder folder;
  const ScratchDir memory("/dev/shm");
  if (!memory.ok()) GTEST_SKIP() << "no second file system";
  RepackOptions options = test::SmallRepack(
      folder.Write("in.gguf", test::SmallModel()), memory.File("out.sluice"));
  options.compress = CompressRecords::kAuto;
  const auto elsewhere = Repack(options);
  ASSERT_TRUE(elsewhere) << elsewhere.error().message;
  EXPECT_TRUE(elsewhere->choice.other_device);
  EXPECT_GT(elsewhere->choice.flash_bytes_per_second, 0);
  options.output = folder.Path("out.sluice");
  const auto beside = Repack(options);
  ASSERT_TRUE(beside) << beside.error().message;
  EXPECT_FALSE(beside->choice.other_device);
  // The scratch file is gone.
  const std::filesystem::directory_iterator files(memory.File(""));
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

}  // namespace
}  // namespace sluice::storage
