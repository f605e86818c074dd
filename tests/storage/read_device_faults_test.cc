// What read devices refuse and notice, every backend the same.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/storage/read_device_fixture.h"

namespace sluice::storage {
namespace {

using testing::HasSubstr;

class ReadDeviceFaultsTest : public ReadDeviceTest {};

TEST_P(ReadDeviceFaultsTest, RefusesBadRequestsAndQueuesNone) {
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

TEST_P(ReadDeviceFaultsTest, NoticesThatAFileBecameShorter) {
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

TEST_P(ReadDeviceFaultsTest, ReadExactlyRefusesWhatIsNotThere) {
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

TEST_P(ReadDeviceFaultsTest, OpensAnEmptyFile) {
  const std::string empty = scratch_.File("empty");
  WriteTestFile(empty, 0, 0);
  auto device = TryOpen({empty}, {});
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_TRUE(ReadExactly(**device, 0, 0, {}));
  AlignedBuffer buffer = Buffer(kBlock);
  const ReadRequest request{.length = kBlock, .destination = buffer.data()};
  EXPECT_FALSE((*device)->Submit({&request, 1}));
}

TEST_P(ReadDeviceFaultsTest, RefusesWhatIsNotAReadableFile) {
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

TEST_P(ReadDeviceFaultsTest, RefusesBadOptions) {
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

INSTANTIATE_TEST_SUITE_P(Backends, ReadDeviceFaultsTest,
                         testing::ValuesIn(Backends()), [](const auto& param) {
                           return param.param.test_name;
                         });

}  // namespace
}  // namespace sluice::storage
