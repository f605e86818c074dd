// What only some backends or file systems do: the fallback where the kernel
// refuses io_uring, O_DIRECT, and the page cache without it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include "storage/read_device.h"
#include "tests/storage/device_test_util.h"

namespace sluice::storage {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBlock = kIoAlignment;

// From now on io_uring_setup fails with EPERM in this process, as in a
// container whose seccomp profile has no io_uring.
bool RefuseIoUring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {std::size(filter), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// In a process without io_uring: 0 when kUring fails as it should and kAuto
// reads with the pread pool.
int TryWithoutIoUring(const std::string& path, std::size_t file_bytes) {
  if (!RefuseIoUring()) return 6;
  const auto refused = OpenReadDevice({path}, {.kind = DeviceKind::kUring});
  if (refused || refused.error().code != ErrorCode::kUnsupported) return 1;
  if (refused.error().message.find("pread") == std::string::npos) return 2;
  const auto device = OpenReadDevice({path}, {});
  if (!device || (*device)->name() != "pread") return 3;
  std::vector<std::byte> content(file_bytes);
  if (!ReadExactly(**device, 0, 0, content)) return 4;
  return FirstWrong(content, 0, 0, file_bytes) ? 5 : 0;
}

TEST(UringDeviceDeathTest, FallsBackWhereTheKernelRefuses) {
  if (*SLUICE_EMULATOR != '\0') GTEST_SKIP() << "no seccomp when emulated";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const ScratchDir scratch;
  const std::string path = scratch.File("f");
  WriteTestFile(path, 0, 5 * kBlock + 7);
  EXPECT_EXIT(_exit(TryWithoutIoUring(path, 5 * kBlock + 7)),
              testing::ExitedWithCode(0), "");
}

TEST(ReadDeviceFilesTest, DirectIsWhatTheFileSystemAllows) {
  const ScratchDir disk;
  const std::string path = disk.File("f");
  WriteTestFile(path, 0, 3 * kBlock);
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) GTEST_SKIP() << "no O_DIRECT here";
  close(fd);
  for (const DeviceKind kind : {DeviceKind::kAuto, DeviceKind::kPread}) {
    const auto direct = OpenReadDevice({path}, {.kind = kind});
    ASSERT_TRUE(direct) << direct.error().message;
    EXPECT_TRUE((*direct)->direct());
    const auto buffered =
        OpenReadDevice({path}, {.kind = kind, .direct = false});
    ASSERT_TRUE(buffered) << buffered.error().message;
    EXPECT_FALSE((*buffered)->direct());
  }
}

// One file on tmpfs, which older kernels cannot read directly, beside one on
// disk: both are read, whatever each allows.
TEST(ReadDeviceFilesTest, ReadsFromTmpfs) {
  const ScratchDir memory("/dev/shm");
  const ScratchDir disk;
  if (!memory.ok()) GTEST_SKIP() << "no /dev/shm";
  const std::vector<std::string> paths = {memory.File("f"), disk.File("f")};
  WriteTestFile(paths[0], 0, 9 * kBlock + 1);
  WriteTestFile(paths[1], 1, 9 * kBlock + 1);
  for (const DeviceKind kind : {DeviceKind::kAuto, DeviceKind::kPread}) {
    const auto device =
        OpenReadDevice(paths, {.kind = kind, .max_bytes_per_read = kBlock});
    ASSERT_TRUE(device) << device.error().message;
    for (std::uint32_t file = 0; file < 2; ++file) {
      std::vector<std::byte> content(9 * kBlock + 1);
      ASSERT_TRUE(ReadExactly(**device, file, 0, content));
      EXPECT_EQ(FirstWrong(content, file, 0, content.size()), std::nullopt);
    }
  }
}

// Blocks of the file that are in the page cache.
std::size_t CachedBlocks(const std::string& path, std::size_t blocks) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* const map =
      mmap(nullptr, blocks * kBlock, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (map == MAP_FAILED) return 0;
  std::vector<unsigned char> cached(blocks);
  mincore(map, blocks * kBlock, cached.data());
  munmap(map, blocks * kBlock);
  std::size_t count = 0;
  for (const unsigned char block : cached) count += block & 1;
  return count;
}

TEST(ReadDeviceFilesTest, BufferedReadsLeaveThePageCacheSmall) {
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(kBlock)) GTEST_SKIP();
  constexpr std::size_t kBlocks = 1024;
  const ScratchDir disk;
  const std::string path = disk.File("f");
  WriteTestFile(path, 0, kBlocks * kBlock);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
  if (CachedBlocks(path, kBlocks) > kBlocks / 4) {
    GTEST_SKIP() << "this file system keeps its pages";
  }
  for (const DeviceKind kind : {DeviceKind::kAuto, DeviceKind::kPread}) {
    const auto device = OpenReadDevice(
        {path}, {.kind = kind, .direct = false, .piece_bytes = 16 * kBlock});
    ASSERT_TRUE(device) << device.error().message;
    std::vector<std::byte> content(kBlocks * kBlock);
    ASSERT_TRUE(ReadExactly(**device, 0, 0, content));
    EXPECT_EQ(FirstWrong(content, 0, 0, content.size()), std::nullopt);
    EXPECT_LT(CachedBlocks(path, kBlocks), kBlocks / 4);
  }
}

}  // namespace
}  // namespace sluice::storage
