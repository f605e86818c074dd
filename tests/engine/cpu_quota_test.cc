#include "engine/cpu_quota.h"

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/fake_system.h"

namespace sluice {
namespace {

using testing_support::FakeSystem;

void WriteTopology(const FakeSystem& system, unsigned cpu, const char* file,
                   const std::string& text) {
  system.Write(
      "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + file,
      text + "\n");
}

// Four cores of two threads: CPU c and c + 4 share one.
void WriteEightCpus(const FakeSystem& system) {
  for (unsigned cpu = 0; cpu < 8; ++cpu) {
    WriteTopology(system, cpu, "thread_siblings_list",
                  std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4));
  }
}

const std::vector<unsigned> kEight = {0, 1, 2, 3, 4, 5, 6, 7};

TEST(CpuQuotaTest, SiblingsAreOneCore) {
  FakeSystem system;
  WriteEightCpus(system);
  EXPECT_EQ(PhysicalCores(system.root(), kEight), 4u);
  EXPECT_EQ(ThreadsFor(system.root(), kEight), 4u);
}

TEST(CpuQuotaTest, OnlyAllowedCpusCount) {
  FakeSystem system;
  WriteEightCpus(system);
  const std::vector<unsigned> one_core = {1, 5};
  const std::vector<unsigned> three_cores = {0, 2, 3, 6};
  EXPECT_EQ(ThreadsFor(system.root(), one_core), 1u);
  EXPECT_EQ(ThreadsFor(system.root(), three_cores), 3u);
}

TEST(CpuQuotaTest, CoreNumbersArePerPackage) {
  FakeSystem system;
  for (unsigned cpu = 0; cpu < 4; ++cpu) {
    WriteTopology(system, cpu, "core_id", std::to_string(cpu % 2));
    WriteTopology(system, cpu, "physical_package_id", std::to_string(cpu / 2));
  }
  const std::vector<unsigned> cpus = {0, 1, 2, 3};
  EXPECT_EQ(PhysicalCores(system.root(), cpus), 4u);
  WriteTopology(system, 1, "core_id", "0");
  EXPECT_EQ(PhysicalCores(system.root(), cpus), 3u);
}

TEST(CpuQuotaTest, UnknownTopologyCountsEveryCpu) {
  FakeSystem system;
  EXPECT_EQ(PhysicalCores(system.root(), kEight), 8u);
  EXPECT_GE(ThreadsFor(system.root(), {}), 1u);
}

TEST(CpuQuotaTest, V1Quota) {
  FakeSystem system;
  WriteEightCpus(system);
  system.Write("/proc/self/mountinfo",
               "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup "
               "rw,cpu,cpuacct\n");
  system.Write("/proc/self/cgroup", "5:cpuset:/\n3:cpu,cpuacct:/a/b\n");
  const std::string cpu = "/sys/fs/cgroup/cpu";
  system.Write(cpu + "/a/b/cpu.cfs_period_us", "100000\n");
  system.Write(cpu + "/a/b/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(CpuQuota(system.root()), std::nullopt);
  EXPECT_EQ(ThreadsFor(system.root(), kEight), 4u);
  system.Write(cpu + "/a/b/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(CpuQuota(system.root()), 3.0);
  EXPECT_EQ(ThreadsFor(system.root(), kEight), 3u);
  // An ancestor allows less, and part of a CPU is no thread.
  system.Write(cpu + "/a/cpu.cfs_period_us", "50000\n");
  system.Write(cpu + "/a/cpu.cfs_quota_us", "125000\n");
  EXPECT_EQ(CpuQuota(system.root()), 2.5);
  EXPECT_EQ(ThreadsFor(system.root(), kEight), 2u);
}

TEST(CpuQuotaTest, V2Quota) {
  FakeSystem system;
  WriteEightCpus(system);
  system.Write("/proc/self/mountinfo",
               "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  system.Write("/proc/self/cgroup", "0::/a/b\n");
  const std::string group = "/sys/fs/cgroup/a";
  system.Write(group + "/b/cpu.max", "max 100000\n");
  EXPECT_EQ(CpuQuota(system.root()), std::nullopt);
  system.Write(group + "/cpu.max", "200000 100000\n");
  EXPECT_EQ(ThreadsFor(system.root(), kEight), 2u);
  system.Write(group + "/b/cpu.max", "20000 100000\n");
  EXPECT_EQ(CpuQuota(system.root()), 0.2);
  EXPECT_EQ(ThreadsFor(system.root(), kEight), 1u);
  system.Write(group + "/b/cpu.max", "18000000000000000000 1\n");
  system.Write(group + "/cpu.max", "max\n");
  EXPECT_EQ(ThreadsFor(system.root(), kEight), 4u);
  for (const char* garbage : {"", "\n", "200000", "0 0\n", "5 0\n", "x y\n"}) {
    system.Write(group + "/b/cpu.max", garbage);
    EXPECT_EQ(CpuQuota(system.root()), std::nullopt) << garbage;
  }
}

TEST(CpuQuotaTest, TheRunningSystem) {
  const std::vector<unsigned> cpus = AllowedCpus();
  EXPECT_FALSE(cpus.empty());
  EXPECT_GE(DefaultThreads(), 1u);
  EXPECT_LE(DefaultThreads(), cpus.size());
}

}  // namespace
}  // namespace sluice
