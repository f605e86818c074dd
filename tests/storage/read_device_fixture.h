// ReadDeviceTest: opens the read device of a backend on two files of known
// bytes; what the conformance tests of read devices share.
#ifndef SLUICE_TESTS_STORAGE_READ_DEVICE_FIXTURE_H_
#define SLUICE_TESTS_STORAGE_READ_DEVICE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "storage/fault_device.h"
#include "storage/read_device.h"
#include "tests/storage/device_test_util.h"

namespace sluice::storage {

inline constexpr std::size_t kBlock = kIoAlignment;
inline constexpr std::size_t kBigBytes = 300 * kBlock + 123;
inline constexpr std::size_t kSmallBytes = kBlock + 1;

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

// Skips where the system lacks the backend.
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

// Each with whole and with short reads.
inline std::vector<Backend> Backends() {
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

}  // namespace sluice::storage

#endif  // SLUICE_TESTS_STORAGE_READ_DEVICE_FIXTURE_H_
