// The conformance test of the read devices: every test here runs on every
// backend, with whole and with short reads.
#include "storage/read_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/storage/read_device_fixture.h"

namespace sluice::storage {
namespace {

TEST_P(ReadDeviceTest, HasItsNameAndFiles) {
  auto device = Open();
  EXPECT_EQ(device->name(), GetParam().name);
  EXPECT_THAT(device->paths(), testing::ElementsAre(big_, small_));
  EXPECT_THAT(device->file_sizes(),
              testing::ElementsAre(kBigBytes, kSmallBytes));
}

TEST_P(ReadDeviceTest, ReadsWhatTheFilesHold) {
  std::mt19937 random(1);
  auto device = Open({.piece_bytes = 8 * kBlock, .depth = 4});
  for (int round = 0; round < 10; ++round) {
    std::vector<ReadRequest> requests;
    std::vector<AlignedBuffer> buffers;
    for (std::uint64_t tag = 0; tag < 20; ++tag) {
      const std::size_t from = random() % 301;
      const std::size_t blocks = 1 + random() % (301 - from);
      buffers.push_back(Buffer(blocks * kBlock));
      requests.push_back({.file = 0,
                          .offset = from * kBlock,
                          .length = blocks * kBlock,
                          .destination = buffers.back().data(),
                          .read_class = tag % 3 == 0 ? ReadClass::kPrefetch
                                                     : ReadClass::kDemand,
                          .tag = tag});
    }
    ASSERT_TRUE(device->Submit(requests));
    EXPECT_EQ(device->in_flight(), requests.size());
    const auto done = WaitForAll(*device);
    ASSERT_EQ(done.size(), requests.size());
    for (const ReadRequest& request : requests) {
      const ReadCompletion& completion = done.at(request.tag);
      EXPECT_FALSE(completion.error);
      EXPECT_EQ(completion.bytes, request.length);
      EXPECT_EQ(FirstWrong({request.destination, request.length}, 0,
                           request.offset, kBigBytes),
                std::nullopt);
    }
  }
}

TEST_P(ReadDeviceTest, PollCompletesTheReads) {
  auto device = Open({.piece_bytes = 4 * kBlock, .depth = 2});
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  const auto requests = CoverBig(buffer, 50 * kBlock, ReadClass::kDemand);
  ASSERT_TRUE(device->Submit(requests));
  std::vector<ReadCompletion> done;
  while (done.size() < requests.size()) {
    const auto count = device->Poll(done);
    ASSERT_TRUE(count);
    if (*count == 0) std::this_thread::yield();
  }
  EXPECT_EQ(device->in_flight(), 0u);
  EXPECT_EQ(FirstWrong(buffer.span(), 0, 0, kBigBytes), std::nullopt);
}

TEST_P(ReadDeviceTest, ReadsTheTailAsAnAlignedSuperset) {
  auto device = Open();
  AlignedBuffer buffer = Buffer(2 * kBlock);
  const ReadRequest request{
      .file = 1, .length = 2 * kBlock, .destination = buffer.data(), .tag = 7};
  ASSERT_TRUE(device->Submit({&request, 1}));
  const auto done = WaitForAll(*device);
  ASSERT_TRUE(done.contains(7));
  EXPECT_FALSE(done.at(7).error);
  EXPECT_EQ(FirstWrong(buffer.span(), 1, 0, kSmallBytes), std::nullopt);
}

TEST_P(ReadDeviceTest, WaitsForNothingWhenNothingIsInFlight) {
  auto device = Open();
  std::vector<ReadCompletion> done;
  EXPECT_EQ(device->Wait(done), 0u);
  EXPECT_EQ(device->Poll(done), 0u);
  EXPECT_TRUE(device->Submit({}));
  EXPECT_EQ(device->Wait(done), 0u);
}

TEST_P(ReadDeviceTest, QueuesMoreThanItsDepth) {
  auto device = Open({.piece_bytes = kBlock, .depth = 1, .pread_threads = 3});
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  const auto requests = CoverBig(buffer, 2 * kBlock, ReadClass::kDemand);
  ASSERT_TRUE(device->Submit(requests));
  EXPECT_EQ(WaitForAll(*device).size(), requests.size());
  EXPECT_EQ(FirstWrong(buffer.span(), 0, 0, kBigBytes), std::nullopt);
}

TEST_P(ReadDeviceTest, CountsWhatItDid) {
  auto device = Open({.piece_bytes = 50 * kBlock});
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  const auto requests = CoverBig(buffer, 100 * kBlock, ReadClass::kDemand);
  ASSERT_EQ(requests.size(), 4u);
  ASSERT_TRUE(device->Submit(requests));
  WaitForAll(*device);
  const ReadStats& stats = device->stats();
  EXPECT_EQ(stats.requests, 4u);
  EXPECT_EQ(stats.bytes, AlignUp(kBigBytes));
  EXPECT_EQ(stats.cancelled, 0u);
  EXPECT_EQ(stats.errors, 0u);
  // Three requests of two pieces and one of one; short reads make more of them.
  std::uint64_t reads = GetParam().reads_at_open ? 4 : 7;
  if (GetParam().max_bytes_per_read != 0 && !GetParam().reads_at_open) {
    reads = AlignUp(kBigBytes) / GetParam().max_bytes_per_read;
  }
  EXPECT_EQ(stats.reads, reads);
}

TEST_P(ReadDeviceTest, CancelledPrefetchesCompleteOnce) {
  auto device = Open({.piece_bytes = kBlock, .depth = 1});
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  const auto requests = CoverBig(buffer, 10 * kBlock, ReadClass::kPrefetch);
  ASSERT_TRUE(device->Submit(requests));
  for (const ReadRequest& request : requests) device->Cancel(request.tag);
  device->Cancel(12345);
  const auto done = WaitForAll(*device);
  ASSERT_EQ(done.size(), requests.size());
  std::uint64_t cancelled = 0;
  for (const ReadRequest& request : requests) {
    const ReadCompletion& completion = done.at(request.tag);
    if (completion.error) {
      ++cancelled;
      EXPECT_EQ(completion.error->code, ErrorCode::kCancelled);
      EXPECT_EQ(completion.bytes, 0u);
    } else {
      EXPECT_EQ(FirstWrong({request.destination, request.length}, 0,
                           request.offset, kBigBytes),
                std::nullopt);
    }
  }
  EXPECT_EQ(device->stats().cancelled, cancelled);
  EXPECT_EQ(device->stats().errors, 0u);
}

TEST_P(ReadDeviceTest, DemandIsNotCancelled) {
  auto device = Open({.piece_bytes = kBlock, .depth = 1});
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  const auto requests = CoverBig(buffer, 10 * kBlock, ReadClass::kDemand);
  ASSERT_TRUE(device->Submit(requests));
  for (const ReadRequest& request : requests) device->Cancel(request.tag);
  for (const auto& [tag, completion] : WaitForAll(*device)) {
    EXPECT_FALSE(completion.error) << tag;
  }
  EXPECT_EQ(FirstWrong(buffer.span(), 0, 0, kBigBytes), std::nullopt);
}

TEST_P(ReadDeviceTest, PromotedPrefetchesCompleteAndAreNotCancelled) {
  auto device = Open({.piece_bytes = kBlock, .depth = 1});
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  const auto requests = CoverBig(buffer, 10 * kBlock, ReadClass::kPrefetch);
  ASSERT_TRUE(device->Submit(requests));
  for (const ReadRequest& request : requests) {
    device->Promote(request.tag);
    device->Cancel(request.tag);
  }
  for (const auto& [tag, completion] : WaitForAll(*device)) {
    EXPECT_FALSE(completion.error) << tag;
  }
  EXPECT_EQ(FirstWrong(buffer.span(), 0, 0, kBigBytes), std::nullopt);
}

TEST_P(ReadDeviceTest, NothingIsWrittenAfterItsDestructor) {
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  for (int round = 0; round < 5; ++round) {
    auto device = Open({.piece_bytes = 4 * kBlock, .depth = 16});
    ASSERT_TRUE(
        device->Submit(CoverBig(buffer, 10 * kBlock, ReadClass::kDemand)));
    device.reset();
    std::fill_n(buffer.data(), buffer.size(), std::byte{0xa5});
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_TRUE(std::ranges::all_of(
        buffer.span(), [](std::byte byte) { return byte == std::byte{0xa5}; }));
  }
}

// The thread that opens a device need not be the one that uses it, and a thread
// may end while its reads are under way.
TEST_P(ReadDeviceTest, MovesBetweenThreads) {
  std::unique_ptr<ReadDevice> device;
  std::thread([&] {
    device = Open({.piece_bytes = kBlock, .depth = 8});
  }).join();
  AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
  const auto requests = CoverBig(buffer, 10 * kBlock, ReadClass::kDemand);
  std::thread([&] { EXPECT_TRUE(device->Submit(requests)); }).join();
  const auto done = WaitForAll(*device);
  EXPECT_EQ(done.size(), requests.size());
  for (const auto& [tag, completion] : done) {
    EXPECT_FALSE(completion.error) << completion.error->message;
  }
  EXPECT_EQ(FirstWrong(buffer.span(), 0, 0, kBigBytes), std::nullopt);
  std::thread([&] { device.reset(); }).join();
}

TEST_P(ReadDeviceTest, ReadExactlyTakesAnyPlace) {
  auto device = Open({.piece_bytes = 16 * kBlock});
  const struct {
    std::uint64_t offset;
    std::size_t length;
  } places[] = {{0, 1},          {0, kBlock},        {1, kBlock},
                {kBlock - 1, 2}, {5000, 1100000},    {0, kBigBytes},
                {kBigBytes, 0},  {kBigBytes - 1, 1}, {77, kBigBytes - 77}};
  for (const auto& place : places) {
    std::vector<std::byte> out(place.length);
    const auto read = ReadExactly(*device, 0, place.offset, out);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(FirstWrong(out, 0, place.offset, kBigBytes), std::nullopt);
  }
  EXPECT_EQ(device->in_flight(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Backends, ReadDeviceTest,
                         testing::ValuesIn(Backends()), [](const auto& param) {
                           return param.param.test_name;
                         });

}  // namespace
}  // namespace sluice::storage
