#include "engine/memory_limits.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/cgroup.h"
#include "engine/sluice.h"
#include "gtest/gtest.h"
#include "tests/support/fake_system.h"

namespace sluice {
namespace {

using testing_support::FakeSystem;

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

constexpr char kV1Mounts[] =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup "
    "rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup "
    "rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr char kV1Groups[] =
    "8:pids:/\n4:memory:/box/job\n1:cpu,cpuacct:/\n0::/\n";
constexpr char kV2Mounts[] =
    "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
constexpr char kV2Groups[] = "0::/user.slice/job\n";

// 4000 MiB in all, 3000 MiB available, 100 MiB of our own.
void WriteSystem(const FakeSystem& system) {
  system.Write("/proc/meminfo",
               "MemTotal:        4096000 kB\nMemFree:          500000 kB\n"
               "MemAvailable:    3072000 kB\n");
  system.Write("/proc/self/status",
               "Name:\tsluice\nVmHWM:\t  204800 kB\nVmRSS:\t  112640 kB\n"
               "RssAnon:\t  102400 kB\nRssFile:\t   10240 kB\n"
               "RssShmem:\t       0 kB\n");
}

void WriteV1(const FakeSystem& system) {
  WriteSystem(system);
  system.Write("/proc/self/mountinfo", kV1Mounts);
  system.Write("/proc/self/cgroup", kV1Groups);
}

void WriteV2(const FakeSystem& system) {
  WriteSystem(system);
  system.Write("/proc/self/mountinfo", kV2Mounts);
  system.Write("/proc/self/cgroup", kV2Groups);
}

std::uint64_t LessMargin(std::uint64_t room) {
  return room - MemoryMargin(room);
}

TEST(MemoryLimitsTest, ReadsTheProcess) {
  FakeSystem system;
  WriteSystem(system);
  const ProcessMemory memory = ReadProcessMemory(system.root());
  EXPECT_EQ(memory.resident, 110 * kMib);
  EXPECT_EQ(memory.peak, 200 * kMib);
  EXPECT_EQ(memory.anonymous, 100 * kMib);
}

TEST(MemoryLimitsTest, OldKernelsDoNotSplitTheResidentSet) {
  FakeSystem system;
  system.Write("/proc/self/status", "VmRSS:\t  1024 kB\n");
  const ProcessMemory memory = ReadProcessMemory(system.root());
  EXPECT_EQ(memory.anonymous, kMib);
  EXPECT_EQ(memory.peak, kMib);
}

TEST(MemoryLimitsTest, WithoutGroupsTheSystemDecides) {
  FakeSystem system;
  WriteSystem(system);
  EXPECT_EQ(CgroupRoom(system.root(), 0), std::nullopt);
  // What we hold already is part of our ceiling.
  EXPECT_EQ(SystemRoom(system.root(), 100 * kMib), 3100 * kMib);
  EXPECT_EQ(SystemRoom(system.root(), 9000 * kMib), 4000 * kMib);
  EXPECT_EQ(AvailableMemoryAt(system.root()), LessMargin(3100 * kMib));
}

TEST(MemoryLimitsTest, V1LimitLessWhatOthersUse) {
  FakeSystem system;
  WriteV1(system);
  const char* group = "/sys/fs/cgroup/memory/box/job";
  system.Write(std::string(group) + "/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), 1024 * kMib);
  // 400 MiB in use: 150 of page cache, 100 ours, 150 of others.
  system.Write(std::string(group) + "/memory.usage_in_bytes", "419430400\n");
  system.Write(std::string(group) + "/memory.stat",
               "cache 1\nactive_file 1\ninactive_file 1\n"
               "total_inactive_file 104857600\ntotal_active_file 52428800\n");
  EXPECT_EQ(CgroupRoom(system.root(), 100 * kMib), 874 * kMib);
  EXPECT_EQ(AvailableMemoryAt(system.root()), LessMargin(874 * kMib));
}

TEST(MemoryLimitsTest, V1WithoutALimit) {
  FakeSystem system;
  WriteV1(system);
  for (const char* group : {"", "/box", "/box/job"}) {
    system.Write(
        std::string("/sys/fs/cgroup/memory") + group + "/memory.limit_in_bytes",
        "9223372036854771712\n");
  }
  EXPECT_EQ(CgroupRoom(system.root(), 0), std::nullopt);
  EXPECT_EQ(AvailableMemoryAt(system.root()), LessMargin(3100 * kMib));
}

TEST(MemoryLimitsTest, TheTightestAncestorCounts) {
  FakeSystem system;
  WriteV1(system);
  const std::string memory = "/sys/fs/cgroup/memory";
  system.Write(memory + "/box/job/memory.limit_in_bytes", "1073741824\n");
  system.Write(memory + "/box/memory.limit_in_bytes", "536870912\n");
  system.Write(memory + "/memory.limit_in_bytes", "2147483648\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), 512 * kMib);
  // A sibling that fills the ancestor leaves nothing.
  system.Write(memory + "/box/memory.usage_in_bytes", "536870912\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), 0u);
  // Of it, 100 MiB are ours.
  EXPECT_EQ(AvailableMemoryAt(system.root()), LessMargin(100 * kMib));
}

TEST(MemoryLimitsTest, V2MaxAndHigh) {
  FakeSystem system;
  WriteV2(system);
  const std::string slice = "/sys/fs/cgroup/user.slice";
  system.Write(slice + "/memory.max", "max\n");
  system.Write(slice + "/job/memory.max", "max\n");
  system.Write(slice + "/job/memory.high", "max\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), std::nullopt);
  system.Write(slice + "/memory.max", "1073741824\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), 1024 * kMib);
  system.Write(slice + "/job/memory.high", "629145600\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), 600 * kMib);
  system.Write(slice + "/job/memory.current", "314572800\n");
  system.Write(slice + "/job/memory.stat",
               "anon 9\ninactive_file 104857600\nactive_file 0\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), 400 * kMib);
  EXPECT_EQ(CgroupRoom(system.root(), 100 * kMib), 500 * kMib);
}

TEST(MemoryLimitsTest, ContainerSeesItsOwnGroupAsTheMount) {
  FakeSystem system;
  WriteSystem(system);
  // The group's path is the host's; the mount shows only its subtree.
  system.Write("/proc/self/mountinfo",
               "30 24 0:26 /docker/c0ffee /sys/fs/cgroup ro - cgroup2 "
               "cgroup rw\n");
  system.Write("/sys/fs/cgroup/memory.max", "268435456\n");
  system.Write("/sys/fs/cgroup/in/memory.max", "134217728\n");
  for (const char* outside : {"/", "/../other", "/elsewhere", "/docker/c0ffee",
                              "/docker/c0ffeebabe"}) {
    system.Write("/proc/self/cgroup", std::string("0::") + outside + "\n");
    EXPECT_EQ(CgroupRoom(system.root(), 0), 256 * kMib) << outside;
  }
  system.Write("/proc/self/cgroup", "0::/docker/c0ffee/in\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), 128 * kMib);
}

TEST(MemoryLimitsTest, LevelsGoFromTheGroupToTheMount) {
  FakeSystem system;
  WriteV1(system);
  const auto levels = CgroupLevels(system.root(), "memory");
  std::vector<std::string> directories;
  for (const CgroupLevel& level : levels)
    directories.push_back(level.directory);
  const std::string base = system.root() + "/sys/fs/cgroup";
  const std::vector<std::string> expected = {
      base + "/memory/box/job", base + "/memory/box", base + "/memory",
      base + "/unified"};
  EXPECT_EQ(directories, expected);
  EXPECT_FALSE(levels.front().v2);
  EXPECT_TRUE(levels.back().v2);
}

TEST(MemoryLimitsTest, MissingFilesAreNoLimitsAndNoRoom) {
  FakeSystem system;
  EXPECT_EQ(SystemRoom(system.root(), 0), std::nullopt);
  EXPECT_EQ(CgroupRoom(system.root(), 0), std::nullopt);
  EXPECT_EQ(AvailableMemoryAt(system.root()), 0u);
  EXPECT_EQ(ReadProcessMemory(system.root()).resident, 0u);
}

TEST(MemoryLimitsTest, GarbageIsIgnored) {
  FakeSystem system;
  WriteV1(system);
  const std::string group = "/sys/fs/cgroup/memory/box/job";
  for (const char* text :
       {"", "\n", "lots", "-1\n", "99999999999999999999999"}) {
    system.Write(group + "/memory.limit_in_bytes", text);
    EXPECT_EQ(CgroupRoom(system.root(), 0), std::nullopt) << text;
  }
  system.Write(group + "/memory.limit_in_bytes", "1048576\n");
  system.Write(group + "/memory.usage_in_bytes", "many\n");
  system.Write(group + "/memory.stat", "total_active_file\nx y z\n\n:\n");
  EXPECT_EQ(CgroupRoom(system.root(), 0), kMib);
  for (const char* text : {"", ":::", "0::relative\n", "4:memory\n", "\n\n"}) {
    system.Write("/proc/self/cgroup", text);
    EXPECT_EQ(CgroupRoom(system.root(), 0), std::nullopt) << text;
  }
  system.Write("/proc/self/cgroup", kV1Groups);
  for (const char* text :
       {"", "-", "1 2 3 4 5 6 -\n", "a - cgroup c memory\n"}) {
    system.Write("/proc/self/mountinfo", text);
    EXPECT_EQ(CgroupRoom(system.root(), 0), std::nullopt) << text;
  }
  for (const char* text : {"", "MemAvailable:\n", "MemAvailable: x kB\n",
                           "MemAvailable: 99999999999999999999 kB\n"}) {
    system.Write("/proc/meminfo", text);
    EXPECT_EQ(SystemRoom(system.root(), 0), std::nullopt) << text;
  }
}

TEST(MemoryLimitsTest, Margin) {
  EXPECT_EQ(MemoryMargin(0), 4 * kMib);
  EXPECT_EQ(MemoryMargin(64 * kMib), 4 * kMib);
  EXPECT_EQ(MemoryMargin(1024 * kMib), 64 * kMib);
  EXPECT_EQ(MemoryMargin(1024 * 1024 * kMib), 512 * kMib);
}

TEST(MemoryLimitsTest, TheRunningSystem) {
  EXPECT_GT(AvailableMemory(), 0u);
  EXPECT_GT(CurrentResidentBytes(), 0u);
  const std::uint64_t before = PeakResidentBytes();
  EXPECT_GE(before, CurrentResidentBytes() / 2);
  {
    std::vector<char> block(64 * kMib, 'x');
    EXPECT_EQ(block[block.size() / 2], 'x');
    EXPECT_GE(CurrentResidentBytes(), 60 * kMib);
  }
  EXPECT_GE(PeakResidentBytes(), 60 * kMib);
}

}  // namespace
}  // namespace sluice
