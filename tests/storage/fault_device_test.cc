#include "storage/fault_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "tests/storage/device_test_util.h"

namespace sluice::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kBlock = kIoAlignment;
constexpr std::uint64_t kFileBytes = 8 * kBlock;

class FaultDeviceTest : public testing::Test {
 protected:
  void SetUp() override { WriteTestFile(path_, 0, kFileBytes); }

  std::unique_ptr<ReadDevice> Open(FaultOptions faults) {
    auto inner = OpenReadDevice({path_}, {.kind = DeviceKind::kPread});
    return MakeFaultDevice(std::move(inner).value(), std::move(faults));
  }

  // Reads block `tag` for each tag from 0 to 7.
  void SubmitBlocks(ReadDevice& device) {
    std::vector<ReadRequest> requests;
    for (std::uint64_t tag = 0; tag < 8; ++tag) {
      requests.push_back({.offset = tag * kBlock,
                          .length = kBlock,
                          .destination = buffer_.data() + tag * kBlock,
                          .tag = tag});
    }
    ASSERT_TRUE(device.Submit(requests));
  }
  // Reads all blocks; the tags that fail.
  std::vector<std::uint64_t> FailingBlocks(ReadDevice& device) {
    SubmitBlocks(device);
    std::vector<std::uint64_t> failing;
    for (const auto& [tag, completion] : WaitForAll(device)) {
      if (!completion.error) continue;
      failing.push_back(tag);
      EXPECT_EQ(completion.error->code, ErrorCode::kIo);
      EXPECT_EQ(completion.bytes, 0u);
      EXPECT_THAT(completion.error->message, HasSubstr(path_));
    }
    return failing;
  }
  std::optional<std::uint64_t> FirstWrongByte() const {
    return FirstWrong(buffer_.span(), 0, 0, kFileBytes);
  }

  ScratchDir scratch_;
  const std::string path_ = scratch_.File("f");
  AlignedBuffer buffer_ = AlignedBuffer::Allocate(kFileBytes).value();
};

TEST_F(FaultDeviceTest, FailsOneRequest) {
  auto device = Open({.fail_request = 2});
  EXPECT_THAT(FailingBlocks(*device), ElementsAre(2));
  EXPECT_THAT(FailingBlocks(*device), ElementsAre());
  EXPECT_EQ(device->stats().errors, 1u);
}

TEST_F(FaultDeviceTest, CountsFromTheFirstRequestThatFaultsActOn) {
  auto device = Open({.after_requests = 8, .fail_request = 0});
  EXPECT_THAT(FailingBlocks(*device), ElementsAre());
  EXPECT_THAT(FailingBlocks(*device), ElementsAre(0));
}

TEST_F(FaultDeviceTest, FailsWhatTouchesARange) {
  auto device = Open({.fail_ranges = {{0, kBlock - 1, 2}, {0, 5 * kBlock, 1}}});
  EXPECT_THAT(FailingBlocks(*device), ElementsAre(0, 1, 5));
  std::byte byte{};
  const auto read = ReadExactly(*device, 0, 5 * kBlock + 100, {&byte, 1});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message,
              HasSubstr("offset " + std::to_string(5 * kBlock)));
}

TEST_F(FaultDeviceTest, TruncatesAFile) {
  auto device = Open({.truncations = {{0, 6 * kBlock + 9}}});
  EXPECT_THAT(FailingBlocks(*device), ElementsAre(6, 7));
  std::byte byte{};
  const auto read = ReadExactly(*device, 0, 6 * kBlock, {&byte, 1});
  EXPECT_THAT(read.error().message, HasSubstr("truncated at offset " +
                                              std::to_string(6 * kBlock + 9)));
}

TEST_F(FaultDeviceTest, FlipsBitsInWhatItDelivers) {
  const std::uint64_t at = 3 * kBlock + 17;
  auto device = Open({.bit_flips = {{0, at, 0x81}}});
  EXPECT_THAT(FailingBlocks(*device), ElementsAre());
  EXPECT_EQ(FirstWrongByte(), at);
  buffer_.data()[at] ^= std::byte{0x81};
  EXPECT_EQ(FirstWrongByte(), std::nullopt);
}

TEST_F(FaultDeviceTest, DelaysCompletions) {
  using Clock = std::chrono::steady_clock;
  const auto delay = std::chrono::milliseconds(20);
  auto device = Open({.delay = delay});
  const Clock::time_point start = Clock::now();
  SubmitBlocks(*device);
  std::vector<ReadCompletion> done;
  ASSERT_TRUE(device->Wait(done));
  // The fault itself, not how fast the machine is.
  EXPECT_GE(Clock::now() - start, delay);
  EXPECT_GE(done.size(), 1u);
  WaitForAll(*device);
  EXPECT_EQ(FirstWrongByte(), std::nullopt);
}

TEST_F(FaultDeviceTest, ReversesWhatIsReadyTogether) {
  auto inner = OpenReadDevice({path_}, {.kind = DeviceKind::kMemory});
  auto device = MakeFaultDevice(std::move(inner).value(), {.reverse = true});
  SubmitBlocks(*device);
  std::vector<ReadCompletion> done;
  ASSERT_EQ(device->Wait(done), 8u);
  std::vector<std::uint64_t> tags;
  for (const ReadCompletion& completion : done) tags.push_back(completion.tag);
  EXPECT_THAT(tags, ElementsAre(7, 6, 5, 4, 3, 2, 1, 0));
  EXPECT_EQ(FirstWrongByte(), std::nullopt);
}

}  // namespace
}  // namespace sluice::storage
