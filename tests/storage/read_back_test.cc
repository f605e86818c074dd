// What is written is read back before it gets its name: nothing that changed
// on the way may be missed.
#include "storage/read_back.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "storage/container_reader.h"
#include "storage/fault_device.h"
#include "storage/repack.h"
#include "storage/xxh3.h"
#include "tests/storage/device_test_util.h"
#include "tests/support/container_builder.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using ::testing::HasSubstr;

// Flips a bit of the byte at `offset`, on the device.
void FlipByte(const std::string& path, std::uint64_t offset) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  char byte = 0;
  ASSERT_EQ(pread(fd, &byte, 1, static_cast<off_t>(offset)), 1);
  byte = static_cast<char>(byte ^ 4);
  ASSERT_EQ(pwrite(fd, &byte, 1, static_cast<off_t>(offset)), 1);
  ASSERT_EQ(fsync(fd), 0);
  close(fd);
}

class ReadingBack : public ::testing::TestWithParam<CompressRecords> {
 protected:
  void SetUp() override {
    const std::string input = folder_.Write("in.gguf", test::SmallModel());
    // Hundreds of files are written: kept in memory where it can.
    path_ = (memory_.ok() ? memory_.File("") : folder_.Path("")) + "out.sluice";
    options_ = test::SmallRepack(input, path_);
    options_.compress = GetParam();
    options_.checkpoint_bytes = 1;  // after every unit
    const auto report = Repack(options_);
    ASSERT_TRUE(report) << report.error().message;
    file_ = test::ReadWholeFile(path_);
    std::filesystem::remove(path_);
    const auto container = ContainerReader::Parse(file_, path_);
    ASSERT_TRUE(container) << container.error().message;
    data_ = container->header().section(SectionKind::kDense).offset;
    record_ = container->index().records[3].offset;
  }
  void ExpectFound(const Result<RepackReport>& report,
                   const std::string& what) const {
    ASSERT_FALSE(report) << what;
    EXPECT_EQ(report.error().code, ErrorCode::kIo);
    EXPECT_THAT(report.error().message,
                HasSubstr("what was written is not what is read back"));
    EXPECT_THAT(report.error().message, HasSubstr(what));
    EXPECT_THAT(report.error().message, Not(HasSubstr("\n")));
    EXPECT_FALSE(std::filesystem::exists(path_));
    EXPECT_FALSE(std::filesystem::exists(path_ + ".partial"));
  }

  test::ScratchFolder folder_;
  ScratchDir memory_{"/dev/shm"};
  RepackOptions options_;
  std::string path_;
  Bytes file_;
  std::uint64_t data_ = 0;    // where the units begin
  std::uint64_t record_ = 0;  // of layer 0, expert 3
};

TEST_P(ReadingBack, TakesEveryByteOfTheFileOnce) {
  const auto whole = Repack(options_);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->verified_bytes, file_.size());
  EXPECT_EQ(whole->output_bytes, file_.size());
  options_.force = true;
  options_.verify = false;
  const auto unverified = Repack(options_);
  ASSERT_TRUE(unverified) << unverified.error().message;
  EXPECT_EQ(unverified->verified_bytes, 0u);
}

// Also what an earlier repack has written.
TEST_P(ReadingBack, TakesEveryByteOfAResumedFile) {
  for (int stop = 5; stop < 25; stop += 4) {
    RepackOptions stopped = options_;
    int calls = 0;
    stopped.progress = [&](const RepackProgress&) { return calls++ < stop; };
    if (Repack(stopped)) break;
    const auto resumed = Repack(options_);
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_GT(resumed->resumed_units, 0u);
    EXPECT_EQ(resumed->verified_bytes, file_.size());
    std::filesystem::remove(path_);
  }
}

// A bit that the device returns otherwise than it was written.
TEST_P(ReadingBack, FindsAFlippedBitWhereverItIs) {
  const std::size_t step = file_.size() / 150 | 1;
  std::size_t tried = 0;
  for (std::size_t at = 0; at < file_.size(); at += step, ++tried) {
    options_.open_written =
        [at](const std::string& path) -> Result<std::unique_ptr<ReadDevice>> {
      SLUICE_ASSIGN(auto device,
                    OpenReadDevice({path}, {.kind = DeviceKind::kPread}));
      return MakeFaultDevice(std::move(device),
                             {.bit_flips = {{.offset = at, .mask = 1}}});
    };
    SCOPED_TRACE(at);
    ExpectFound(Repack(options_), path_);
  }
  EXPECT_GE(tried, 140u);
}

// A byte that changed in the file after it was written and synced, and before
// it was read back and renamed.
TEST_P(ReadingBack, FindsWhatChangedInTheFile) {
  options_.checkpoint_bytes = 1 << 30;  // all units at once, then the front
  const std::uint64_t footer = file_.size() - kPageBytes;
  for (const auto& [at, what] :
       {std::pair<std::uint64_t, std::string>{data_, "section dense: tensor"},
        {record_ + 1, "section experts: layer 0, expert 3, gate"},
        {footer + 100, "footer"},
        {100, "header"},
        {kPageBytes + 20, "section metadata"},
        {data_ - 1, "padding and not zero"}}) {
    int opened = 0;
    options_.open_written = [&, offset = at](const std::string& path) {
      if (opened++ == (offset < data_ ? 1 : 0)) FlipByte(path, offset);
      return OpenReadDevice({path}, {.kind = DeviceKind::kPread});
    };
    SCOPED_TRACE(at);
    ExpectFound(Repack(options_), what);
    EXPECT_EQ(opened, at < data_ ? 2 : 1);
  }
}

// The same before the next repack goes on.
TEST_P(ReadingBack, FindsWhatChangedInAnInterruptedFile) {
  RepackOptions stopped = options_;
  stopped.progress = [&](const RepackProgress& progress) {
    return progress.phase != RepackPhase::kVerify;
  };
  ASSERT_FALSE(Repack(stopped));
  FlipByte(path_ + ".partial", record_ + 1);
  ExpectFound(Repack(options_), "section experts: layer 0, expert 3, gate");
  const auto anew = Repack(options_);
  ASSERT_TRUE(anew) << anew.error().message;
  EXPECT_EQ(anew->resumed_units, 0u);
  EXPECT_EQ(test::ReadWholeFile(path_), file_);
}

TEST_P(ReadingBack, FailsWhereTheDeviceDoes) {
  options_.open_written =
      [this](const std::string& path) -> Result<std::unique_ptr<ReadDevice>> {
    SLUICE_ASSIGN(auto device,
                  OpenReadDevice({path}, {.kind = DeviceKind::kPread}));
    return MakeFaultDevice(std::move(device),
                           {.fail_ranges = {{.offset = record_, .length = 1}}});
  };
  ExpectFound(Repack(options_), path_ + ".partial");
}

// The writing does not end before something has been read back.
TEST_P(ReadingBack, GoesOnWhileUnitsAreBeingWritten) {
  std::atomic<int> opened = 0;
  options_.open_written = [&](const std::string& path) {
    ++opened;
    return OpenReadDevice({path}, {.kind = DeviceKind::kPread});
  };
  int before_the_end = 0;
  options_.progress = [&](const RepackProgress& progress) {
    if (progress.phase != RepackPhase::kWrite) return true;
    if (progress.done * 2 < progress.total) return true;
    if (progress.done == progress.total) return true;
    const auto limit =
        std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (opened == 0 && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    before_the_end = opened;
    return true;
  };
  const auto report = Repack(options_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(before_the_end, 0);
  EXPECT_EQ(report->verified_bytes, file_.size());
}

INSTANTIATE_TEST_SUITE_P(All, ReadingBack,
                         ::testing::Values(CompressRecords::kNever,
                                           CompressRecords::kAlways));

// A file of three pages, in which the second extent reaches over two.
class ReadBackOfPages : public ::testing::Test {
 protected:
  void SetUp() override {
    page_ = Bytes(3 * kPageBytes);
    std::fill_n(page_.begin(), 2 * kPageBytes, std::byte{7});
    path_ = folder_.Write("pages", page_);
    back_ = *ReadBack::Start(path_, index_, [this] {
      return OpenReadDevice({path_}, {.kind = DeviceKind::kPread});
    });
  }
  Extent ExtentOf(std::uint64_t begin, std::uint64_t end) const {
    return {.offset = begin,
            .bytes = end - begin,
            .checksum = HashXxh3(std::span(page_).subspan(begin, end - begin)),
            .kind = Extent::Kind::kFooter};
  }

  test::ScratchFolder folder_;
  const ContainerIndex index_;
  Bytes page_;
  std::string path_;
  std::unique_ptr<ReadBack> back_;
};

TEST_F(ReadBackOfPages, IsCompleteWhenEveryExtentIs) {
  back_->Add({0, kPageBytes, {ExtentOf(0, 64), ExtentOf(64, 2 * kPageBytes)}});
  EXPECT_EQ(*back_->WaitBeyond(kPageBytes), kPageBytes);
  EXPECT_FALSE(back_->complete());
  back_->Add({kPageBytes, 3 * kPageBytes, {}});
  EXPECT_EQ(*back_->WaitBeyond(3 * kPageBytes), 3 * kPageBytes);
  EXPECT_TRUE(back_->complete());
  EXPECT_TRUE(back_->Check());
}

TEST_F(ReadBackOfPages, RefusesAGapWithinAnExtent) {
  back_->Add({0, kPageBytes, {ExtentOf(0, 2 * kPageBytes)}});
  back_->Add({2 * kPageBytes, 3 * kPageBytes, {}});
  const auto waited = back_->WaitBeyond(3 * kPageBytes);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, ErrorCode::kInternal);
  EXPECT_FALSE(back_->complete());
}

TEST_F(ReadBackOfPages, ReportsTheFirstErrorAndReadsNoFurther) {
  back_->Add({0, kPageBytes, {}});  // sevens where zeros should be
  ASSERT_FALSE(back_->WaitBeyond(0));
  back_->Add({2 * kPageBytes, 3 * kPageBytes, {}});
  const auto waited = back_->WaitBeyond(3 * kPageBytes);
  ASSERT_FALSE(waited);
  EXPECT_THAT(waited.error().message, HasSubstr("byte 0 is padding"));
  EXPECT_EQ(back_->bytes(), 0u);
}

}  // namespace
}  // namespace sluice::storage
