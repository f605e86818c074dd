// The conformance test of the read devices: every test here runs on every
// backend, with whole and with short reads.
#include "storage/read_device.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include <algorithm>
#include <ostream>
#include <random>
#include <thread>

#include "storage/fault_device.h"
#include "tests/storage/device_test_util.h"

namespace sluice::storage {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBlock = kIoAlignment;
constexpr std::size_t kBigBytes = 300 * kBlock + 123;
constexpr std::size_t kSmallBytes = kBlock + 1;

struct Backend {
  std::string test_name;
  std::string name;
  DeviceKind kind;
  bool reads_at_open = false;
  bool faulty = false;  // inside a fault device without faults
  std::size_t max_bytes_per_read = 0;

  friend void PrintTo(const Backend& backend, std::ostream* out) {
    *out << backend.test_name;
  }
};

class ReadDeviceTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(scratch_.ok());
    big_ = scratch_.File("big.bin");
    small_ = scratch_.File("small.bin");
    WriteTestFile(big_, 0, kBigBytes);
    WriteTestFile(small_, 1, kSmallBytes);
    auto device = TryOpen({small_}, {});
    if (!device && device.error().code == ErrorCode::kUnsupported) {
      GTEST_SKIP() << device.error().message;
    }
  }

  static Result<std::unique_ptr<ReadDevice>> TryOpen(
      std::vector<std::string> paths, DeviceOptions options) {
    const Backend& backend = GetParam();
    options.kind = backend.kind;
    options.max_bytes_per_read = backend.max_bytes_per_read;
    SLUICE_ASSIGN(auto device, OpenReadDevice(std::move(paths), options));
    if (!backend.faulty) return device;
    return MakeFaultDevice(std::move(device), {});
  }

  std::unique_ptr<ReadDevice> Open(DeviceOptions options = {}) {
    auto device = TryOpen({big_, small_}, options);
    if (device) return *std::move(device);
    ADD_FAILURE() << device.error().message;
    return nullptr;
  }

  // Requests of `length` bytes that cover the big file, tags from 0, each with
  // its own place in `buffer`.
  static std::vector<ReadRequest> CoverBig(AlignedBuffer& buffer,
                                           std::size_t length,
                                           ReadClass read_class) {
    std::vector<ReadRequest> requests;
    for (std::size_t at = 0; at < kBigBytes; at += length) {
      requests.push_back({.file = 0,
                          .offset = at,
                          .length = std::min(length, AlignUp(kBigBytes) - at),
                          .destination = buffer.data() + at,
                          .read_class = read_class,
                          .tag = requests.size()});
    }
    return requests;
  }

  static AlignedBuffer Buffer(std::size_t bytes) {
    return AlignedBuffer::Allocate(bytes).value();
  }

  ScratchDir scratch_;
  std::string big_;
  std::string small_;
};

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

TEST_P(ReadDeviceTest, RefusesBadRequestsAndQueuesNone) {
  auto device = Open();
  AlignedBuffer buffer = Buffer(4 * kBlock);
  const ReadRequest good{.length = kBlock, .destination = buffer.data()};
  std::vector<ReadRequest> bad(9, good);
  bad[0].offset = 512;
  bad[1].length = 100;
  bad[2].destination += 512;
  bad[3].destination = nullptr;
  bad[4].length = 0;
  bad[5].file = 2;
  bad[6].offset = AlignUp(kBigBytes);
  bad[7].offset = AlignDown(kBigBytes);
  bad[7].length = 2 * kBlock;
  bad[8].offset = ~std::uint64_t{kBlock - 1};
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const ReadRequest both[] = {good, bad[i]};
    const auto submitted = device->Submit(both);
    ASSERT_FALSE(submitted) << i;
    EXPECT_EQ(submitted.error().code, ErrorCode::kInvalidArgument) << i;
    if (i != 5) {
      EXPECT_THAT(submitted.error().message, HasSubstr(big_)) << i;
    }
    EXPECT_EQ(device->in_flight(), 0u);
  }
  EXPECT_EQ(device->stats().requests, 0u);
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

TEST_P(ReadDeviceTest, NoticesThatAFileBecameShorter) {
  if (GetParam().reads_at_open) GTEST_SKIP() << "reads no file after opening";
  for (const std::size_t left : {100 * kBlock, 100 * kBlock + 77}) {
    WriteTestFile(big_, 0, kBigBytes);
    auto device = Open({.piece_bytes = 4 * kBlock, .depth = 4});
    ASSERT_EQ(truncate(big_.c_str(), static_cast<off_t>(left)), 0);
    AlignedBuffer buffer = Buffer(AlignUp(kBigBytes));
    const auto requests = CoverBig(buffer, 30 * kBlock, ReadClass::kDemand);
    ASSERT_TRUE(device->Submit(requests));
    const auto done = WaitForAll(*device);
    ASSERT_EQ(done.size(), requests.size());
    for (const ReadRequest& request : requests) {
      const ReadCompletion& completion = done.at(request.tag);
      if (request.offset + request.length <= left) {
        EXPECT_FALSE(completion.error);
        EXPECT_EQ(FirstWrong({request.destination, request.length}, 0,
                             request.offset, kBigBytes),
                  std::nullopt);
        continue;
      }
      ASSERT_TRUE(completion.error) << request.offset;
      EXPECT_EQ(completion.error->code, ErrorCode::kIo);
      EXPECT_THAT(completion.error->message, HasSubstr(big_));
      EXPECT_THAT(completion.error->message, HasSubstr("truncated at offset"));
      EXPECT_THAT(completion.error->message,
                  HasSubstr(std::to_string(kBigBytes) + " bytes"));
    }
    EXPECT_THAT(done.at(3).error->message,
                HasSubstr("has " + std::to_string(left) + " now"));
    EXPECT_GT(device->stats().errors, 0u);
  }
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

TEST_P(ReadDeviceTest, ReadExactlyRefusesWhatIsNotThere) {
  auto device = Open();
  std::vector<std::byte> out(2);
  for (const std::uint64_t offset :
       {std::uint64_t{kBigBytes - 1}, std::uint64_t{kBigBytes + 1},
        ~std::uint64_t{0}}) {
    const auto read = ReadExactly(*device, 0, offset, out);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(read.error().message, HasSubstr(big_));
  }
  EXPECT_FALSE(ReadExactly(*device, 9, 0, out));
  AlignedBuffer buffer = Buffer(kBlock);
  const ReadRequest request{.length = kBlock, .destination = buffer.data()};
  ASSERT_TRUE(device->Submit({&request, 1}));
  EXPECT_EQ(ReadExactly(*device, 0, 0, out).error().code, ErrorCode::kInternal);
  WaitForAll(*device);
}

TEST_P(ReadDeviceTest, OpensAnEmptyFile) {
  const std::string empty = scratch_.File("empty");
  WriteTestFile(empty, 0, 0);
  auto device = TryOpen({empty}, {});
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_TRUE(ReadExactly(**device, 0, 0, {}));
  AlignedBuffer buffer = Buffer(kBlock);
  const ReadRequest request{.length = kBlock, .destination = buffer.data()};
  EXPECT_FALSE((*device)->Submit({&request, 1}));
}

TEST_P(ReadDeviceTest, RefusesWhatIsNotAReadableFile) {
  const std::string missing = scratch_.File("missing");
  const std::string pipe = scratch_.File("pipe");
  const std::string secret = scratch_.File("secret");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  WriteTestFile(secret, 0, 10);
  ASSERT_EQ(chmod(secret.c_str(), 0), 0);
  const auto fails = [&](const std::string& path, ErrorCode code) {
    const auto device = TryOpen({small_, path}, {});
    ASSERT_FALSE(device) << path;
    EXPECT_EQ(device.error().code, code) << device.error().message;
    EXPECT_THAT(device.error().message, HasSubstr(path));
    EXPECT_THAT(device.error().message, testing::Not(HasSubstr("\n")));
  };
  fails(missing, ErrorCode::kNotFound);
  fails(small_ + "/below", ErrorCode::kNotFound);
  fails(scratch_.File(""), ErrorCode::kInvalidArgument);
  fails(pipe, ErrorCode::kInvalidArgument);
  // The superuser may read everything: look with other eyes.
  std::filesystem::permissions(scratch_.File(""), std::filesystem::perms(0755));
  const int before = setfsuid(geteuid() == 0 ? 65534 : geteuid());
  fails(secret, ErrorCode::kPermission);
  setfsuid(static_cast<uid_t>(before));
  EXPECT_EQ(TryOpen({}, {}).error().code, ErrorCode::kInvalidArgument);
}

TEST_P(ReadDeviceTest, RefusesBadOptions) {
  const DeviceOptions bad[] = {{.piece_bytes = 0},
                               {.piece_bytes = 1000},
                               {.piece_bytes = std::size_t{1} << 40},
                               {.depth = 0},
                               {.depth = 100000},
                               {.pread_threads = 0},
                               {.pread_threads = 100000}};
  for (const DeviceOptions& options : bad) {
    EXPECT_EQ(TryOpen({small_}, options).error().code,
              ErrorCode::kInvalidArgument);
  }
}

std::vector<Backend> Backends() {
  std::vector<Backend> backends = {
      {"uring", "io_uring", DeviceKind::kUring},
      {"pread", "pread", DeviceKind::kPread},
      {"memory", "memory", DeviceKind::kMemory, true},
      {"fault", "pread", DeviceKind::kPread, false, true},
  };
  const std::size_t whole = backends.size();
  for (std::size_t i = 0; i < whole; ++i) {
    Backend shorter = backends[i];
    shorter.test_name += "_short_reads";
    shorter.max_bytes_per_read = kBlock;
    backends.push_back(shorter);
  }
  return backends;
}

INSTANTIATE_TEST_SUITE_P(Backends, ReadDeviceTest,
                         testing::ValuesIn(Backends()), [](const auto& param) {
                           return param.param.test_name;
                         });

}  // namespace
}  // namespace sluice::storage
