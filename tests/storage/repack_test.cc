// Repacking: interruptions, and what goes wrong.
#include "storage/repack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/verify.h"
#include "tests/support/container_builder.h"

namespace sluice::storage {
namespace {

using test::Bytes;
using ::testing::HasSubstr;

class Repacking : public ::testing::TestWithParam<CompressRecords> {
 protected:
  void SetUp() override {
    options_ = test::SmallRepack(folder_.Write("in.gguf", test::SmallModel()),
                                 folder_.Path("out.sluice"));
    options_.compress = GetParam();
    options_.checkpoint_bytes = 1;  // after every unit
    options_.device.kind = DeviceKind::kAuto;
    partial_ = options_.output + ".partial";
  }
  // The uninterrupted result.
  Bytes Expected() {
    RepackOptions options = options_;
    options.output = folder_.Path("expected.sluice");
    options.progress = {};
    const auto report = Repack(options);
    EXPECT_TRUE(report) << report.error().message;
    return test::ReadWholeFile(options.output);
  }
  // Stops at the call of progress number `call`; whether it came to that.
  bool StopAt(int call) {
    RepackOptions options = options_;
    int calls = 0;
    options.progress = [&](const RepackProgress&) { return calls++ < call; };
    const auto report = Repack(options);
    if (report) return false;
    EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
    return true;
  }

  test::ScratchFolder folder_;
  RepackOptions options_;
  std::string partial_;
};

TEST_P(Repacking, ResumesAfterBeingStoppedAnywhere) {
  const Bytes expected = Expected();
  std::uint64_t most = 0;
  int call = 0;
  for (; StopAt(call); ++call) {
    EXPECT_FALSE(std::filesystem::exists(options_.output));
    const auto resumed = Repack(options_);
    ASSERT_TRUE(resumed) << resumed.error().message;
    most = std::max(most, resumed->resumed_units);
    EXPECT_FALSE(std::filesystem::exists(partial_));
    EXPECT_EQ(test::ReadWholeFile(options_.output), expected) << call;
    std::filesystem::remove(options_.output);
  }
  EXPECT_EQ(most, 13u);  // 5 dense tensors and 8 records
  EXPECT_GT(call, 13);
  EXPECT_EQ(test::ReadWholeFile(options_.output), expected);
}

TEST_P(Repacking, ResumesUnitByUnit) {
  const Bytes expected = Expected();
  int rounds = 0;
  for (; rounds < 100; ++rounds) {
    RepackOptions options = options_;
    int calls = 0;
    options.progress = [&](const RepackProgress&) { return calls++ < 4; };
    if (Repack(options)) break;
  }
  EXPECT_GT(rounds, 3);
  EXPECT_LT(rounds, 100);
  EXPECT_EQ(test::ReadWholeFile(options_.output), expected);
}

// What a killed repack leaves is some copy of the file as it was being written.
TEST_P(Repacking, ResumesFromTheFileOfAnyMoment) {
  const Bytes expected = Expected();
  std::vector<Bytes> moments;
  RepackOptions options = options_;
  options.progress = [&](const RepackProgress&) {
    moments.push_back(test::ReadWholeFile(partial_));
    return true;
  };
  ASSERT_TRUE(Repack(options));
  ASSERT_GT(moments.size(), 13u);
  for (const Bytes& moment : moments) {
    std::filesystem::remove(options_.output);
    folder_.Write("out.sluice.partial", moment);
    const auto report = Repack(options_);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(test::ReadWholeFile(options_.output), expected);
  }
}

TEST_P(Repacking, StartsAnewOnSomethingElse) {
  const Bytes expected = Expected();
  const Bytes other = test::SmallModel(3);
  ASSERT_TRUE(StopAt(20));
  const Bytes partial = test::ReadWholeFile(partial_);
  // The partial of another model, damage in a trusted entry, and junk.
  Bytes damaged = partial;
  ContainerHeader header;
  std::memcpy(&header, partial.data(), sizeof(header));
  damaged[header.section(SectionKind::kIndex).offset + 64 + 8] ^= std::byte{1};
  for (const Bytes& found : {damaged, Bytes(10000, std::byte{7}), other}) {
    folder_.Write("out.sluice.partial", found);
    const auto report = Repack(options_);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->resumed_units, 0u);
    EXPECT_EQ(test::ReadWholeFile(options_.output), expected);
    std::filesystem::remove(options_.output);
  }
}

TEST_P(Repacking, StartsAnewWhenWhatItTrustsIsCutOff) {
  const Bytes expected = Expected();
  ASSERT_TRUE(StopAt(20));
  const Bytes partial = test::ReadWholeFile(partial_);
  ContainerHeader header;
  std::memcpy(&header, partial.data(), sizeof(header));
  ASSERT_GT(header.units_done, 0u);
  folder_.Write("out.sluice.partial",
                std::span(partial).first(
                    header.section(SectionKind::kDense).offset + 64));
  const auto report = Repack(options_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->resumed_units, 0u);
  EXPECT_EQ(test::ReadWholeFile(options_.output), expected);
}

// Other weights under the same headers, written so fast that not even the time
// of modification tells.
TEST_P(Repacking, StartsAnewWhenTheWeightsChanged) {
  const Bytes model = test::ReadWholeFile(options_.input);
  const auto gguf = GgufFile::Open(options_.input);
  ASSERT_TRUE(gguf) << gguf.error().message;
  const auto when = std::filesystem::last_write_time(options_.input);
  const auto write = [&](const Bytes& file) {
    folder_.Write("in.gguf", file);
    std::filesystem::last_write_time(options_.input, when);
  };
  for (const char* name :
       {"output.weight", "blk.0.ffn_gate_exps.weight",
        "blk.1.ffn_down_exps.weight", "blk.0.attn_norm.weight"}) {
    const GgufTensor* tensor = gguf->FindTensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    for (const bool finished : {false, true}) {
      write(model);
      RepackOptions stopped = options_;
      int calls = 0;
      stopped.progress = [&](const RepackProgress& progress) {
        return finished ? progress.phase != RepackPhase::kVerify : calls++ < 20;
      };
      ASSERT_FALSE(Repack(stopped));
      ASSERT_TRUE(std::filesystem::exists(partial_));
      Bytes changed = model;
      changed[tensor->offset + tensor->bytes / 2] ^= std::byte{1};
      write(changed);
      const Bytes expected = Expected();
      const auto report = Repack(options_);
      ASSERT_TRUE(report) << report.error().message;
      EXPECT_EQ(report->resumed_units, 0u) << name << finished;
      EXPECT_EQ(test::ReadWholeFile(options_.output), expected) << name;
      std::filesystem::remove(options_.output);
      std::filesystem::remove(folder_.Path("expected.sluice"));
    }
  }
}

TEST_P(Repacking, StartsAnewWhenTheSourceWasModified) {
  const auto when = std::filesystem::last_write_time(options_.input);
  for (const auto later : {std::chrono::seconds(0), std::chrono::seconds(1)}) {
    ASSERT_TRUE(StopAt(20));
    std::filesystem::last_write_time(options_.input, when + later);
    const auto report = Repack(options_);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->resumed_units > 0, later.count() == 0);
    std::filesystem::remove(options_.output);
  }
}

TEST_P(Repacking, LeavesNothingWhenNothingWasWritten) {
  ASSERT_TRUE(StopAt(0));
  EXPECT_FALSE(std::filesystem::exists(partial_));
}

TEST_P(Repacking, ReplacesOnlyWhenForced) {
  folder_.Write("out.sluice", Bytes(3));
  auto refused = Repack(options_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("--force"));
  EXPECT_EQ(test::ReadWholeFile(options_.output).size(), 3u);
  EXPECT_FALSE(std::filesystem::exists(partial_));
  options_.force = true;
  EXPECT_TRUE(Repack(options_));
  EXPECT_TRUE(VerifyContainer(options_.output));
}

TEST_P(Repacking, RefusesWhatCannotBe) {
  const auto message = [](const RepackOptions& options) {
    const auto report = Repack(options);
    return report ? std::string("done") : report.error().message;
  };
  RepackOptions options = options_;
  options.input = folder_.Path("none.gguf");
  EXPECT_THAT(message(options), HasSubstr("none.gguf: no such file"));
  options = options_;
  options.output = folder_.Path("none/out.sluice");
  EXPECT_THAT(message(options), HasSubstr("no such folder"));
  options.output = folder_.Path("");
  EXPECT_THAT(message(options), HasSubstr("is a folder"));
  options.output = options.input;
  EXPECT_THAT(message(options), HasSubstr("is the input"));
  options = options_;
  options.input = folder_.Write(
      "dense.gguf", test::GgufBuilder()
                        .Tensor("output.weight", TensorType::kF32, {8})
                        .File());
  EXPECT_THAT(message(options), HasSubstr("has no experts"));
  options = options_;
  options.output = "/proc/out.sluice";
  EXPECT_NE(message(options), "done");
  EXPECT_FALSE(std::filesystem::exists(partial_));
}

// Stands for a full disk: no file may grow beyond a limit.
TEST_P(Repacking, GoesOnAfterTheDiskWasFull) {
  const Bytes expected = Expected();
  struct rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit limited = before;
  limited.rlim_cur = expected.size() / 4096 / 2 * 4096;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  const auto failed = Repack(options_);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  EXPECT_FALSE(std::filesystem::exists(options_.output));
  const auto report = Repack(options_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->resumed_units, 0u);
  EXPECT_EQ(test::ReadWholeFile(options_.output), expected);
}

INSTANTIATE_TEST_SUITE_P(All, Repacking,
                         ::testing::Values(CompressRecords::kNever,
                                           CompressRecords::kAlways));

}  // namespace
}  // namespace sluice::storage
