// What the tests of the read devices share: temporary files with known bytes,
// and waiting for all completions.
#ifndef SLUICE_TESTS_STORAGE_DEVICE_TEST_UTIL_H_
#define SLUICE_TESTS_STORAGE_DEVICE_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/read_device.h"

namespace sluice::storage {

// A directory that is removed with all that is in it.
class ScratchDir {
 public:
  explicit ScratchDir(const std::string& parent = testing::TempDir())
      : path_(parent + "/sluice-test-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  bool ok() const { return !path_.empty(); }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The byte at `offset` of test file `seed`; neighbouring blocks differ.
inline std::byte ByteAt(std::uint64_t seed, std::uint64_t offset) {
  std::uint64_t value = (offset / 8 + 1) * 0x9e3779b97f4a7c15u + seed * 12345;
  value ^= value >> 31;
  return static_cast<std::byte>(value >> (8 * (offset % 8)));
}

inline void WriteTestFile(const std::string& path, std::uint64_t seed,
                          std::size_t bytes) {
  std::string content(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    content[i] = static_cast<char>(ByteAt(seed, i));
  }
  std::ofstream(path, std::ios::binary) << content;
}

// The first offset in [offset, offset + data.size()) of test file `seed` (of
// `file_bytes` bytes) at which `data` is wrong.
inline std::optional<std::uint64_t> FirstWrong(std::span<const std::byte> data,
                                               std::uint64_t seed,
                                               std::uint64_t offset,
                                               std::uint64_t file_bytes) {
  for (std::size_t i = 0; i < data.size() && offset + i < file_bytes; ++i) {
    if (data[i] != ByteAt(seed, offset + i)) return offset + i;
  }
  return std::nullopt;
}

// Waits until nothing is in flight. Fails the test on an error of the device or
// on a tag that completes twice.
inline std::map<std::uint64_t, ReadCompletion> WaitForAll(ReadDevice& device) {
  std::map<std::uint64_t, ReadCompletion> by_tag;
  while (device.in_flight() != 0) {
    std::vector<ReadCompletion> done;
    const Result<std::size_t> count = device.Wait(done);
    if (!count) {
      ADD_FAILURE() << count.error().message;
      break;
    }
    EXPECT_GE(*count, 1u);
    EXPECT_EQ(*count, done.size());
    for (ReadCompletion& completion : done) {
      const std::uint64_t tag = completion.tag;
      EXPECT_TRUE(by_tag.emplace(tag, std::move(completion)).second)
          << "tag " << tag << " completed twice";
    }
  }
  return by_tag;
}

}  // namespace sluice::storage

#endif  // SLUICE_TESTS_STORAGE_DEVICE_TEST_UTIL_H_
