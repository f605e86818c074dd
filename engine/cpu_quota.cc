#include "engine/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <thread>

#include "engine/cgroup.h"

namespace sluice {
namespace {

// What tells cores apart: the list of CPUs that share one. (Core numbers alone
// repeat across packages, and across clusters on some boards.)
std::string CoreOf(const std::string& root, unsigned cpu) {
  const std::string topology =
      root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  for (const char* file : {"core_cpus_list", "thread_siblings_list"}) {
    const auto siblings = ReadSystemFile(topology + file);
    if (siblings && !siblings->empty()) return *siblings;
  }
  const auto core = ReadSystemFile(topology + "core_id");
  if (!core) return "cpu " + std::to_string(cpu);
  const auto package = ReadSystemFile(topology + "physical_package_id");
  return "core " + package.value_or("") + "," + *core;
}

// Version 2: "QUOTA PERIOD", QUOTA may be "max". Version 1: two files, a quota
// of -1 means none.
std::optional<double> ReadQuota(const CgroupLevel& level) {
  std::optional<std::uint64_t> quota;
  std::optional<std::uint64_t> period;
  if (level.v2) {
    const auto text = ReadSystemFile(level.directory + "/cpu.max");
    if (!text) return std::nullopt;
    const std::size_t blank = text->find(' ');
    quota = ParseUnsigned(*text);
    if (blank != std::string::npos) {
      period = ParseUnsigned(std::string_view(*text).substr(blank + 1));
    }
  } else {
    const auto quota_text =
        ReadSystemFile(level.directory + "/cpu.cfs_quota_us");
    const auto period_text =
        ReadSystemFile(level.directory + "/cpu.cfs_period_us");
    if (quota_text) quota = ParseUnsigned(*quota_text);
    if (period_text) period = ParseUnsigned(*period_text);
  }
  if (!quota || !period || *quota == 0 || *period == 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

}  // namespace

std::vector<unsigned> AllowedCpus() {
  // The kernel refuses a mask smaller than its own with EINVAL.
  for (std::size_t count = 1024; count <= std::size_t{1} << 20; count *= 2) {
    std::vector<cpu_set_t> mask(count / (8 * sizeof(cpu_set_t)));
    const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) != 0) continue;
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < count; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, mask.data())) cpus.push_back(cpu);
    }
    return cpus;
  }
  return {};
}

unsigned PhysicalCores(const std::string& root,
                       std::span<const unsigned> cpus) {
  std::set<std::string> cores;
  for (const unsigned cpu : cpus) cores.insert(CoreOf(root, cpu));
  return static_cast<unsigned>(cores.size());
}

std::optional<double> CpuQuota(const std::string& root) {
  std::optional<double> smallest;
  for (const CgroupLevel& level : CgroupLevels(root, "cpu")) {
    const auto quota = ReadQuota(level);
    if (quota) smallest = std::min(smallest.value_or(*quota), *quota);
  }
  return smallest;
}

unsigned ThreadsFor(const std::string& root, std::span<const unsigned> cpus) {
  const unsigned cores = cpus.empty() ? std::thread::hardware_concurrency()
                                      : PhysicalCores(root, cpus);
  const double quota = CpuQuota(root).value_or(cores);
  // Compared as doubles first: a quota may be larger than any unsigned.
  return std::max(1u, static_cast<unsigned>(std::min<double>(cores, quota)));
}

unsigned DefaultThreads() { return ThreadsFor("", AllowedCpus()); }

}  // namespace sluice
