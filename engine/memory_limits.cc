#include "engine/memory_limits.h"

#include <algorithm>
#include <string_view>

#include "engine/cgroup.h"
#include "engine/sluice.h"

namespace sluice {
namespace {

constexpr std::uint64_t kKib = 1024;
constexpr std::uint64_t kMib = 1024 * kKib;
// Version 1 writes "no limit" as the largest multiple of the page size.
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 60;

constexpr std::uint64_t SubtractToZero(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : 0;
}

// A field of /proc/meminfo or /proc/self/status, bytes.
std::optional<std::uint64_t> Kilobytes(const std::string& text,
                                       std::string_view key) {
  const auto value = FindNumber(text, key);
  if (!value || *value > kUnlimited / kKib) return std::nullopt;
  return *value * kKib;
}

std::optional<std::uint64_t> ReadNumber(const std::string& path) {
  const auto text = ReadSystemFile(path);
  return text ? ParseUnsigned(*text) : std::nullopt;
}

std::optional<std::uint64_t> ReadLimit(const CgroupLevel& level) {
  std::optional<std::uint64_t> limit;
  const auto consider = [&](const char* file) {
    const auto value = ReadNumber(level.directory + file);
    if (value && *value < kUnlimited) {
      limit = std::min(limit.value_or(kUnlimited), *value);
    }
  };
  if (level.v2) {
    consider("/memory.max");
    consider("/memory.high");
  } else {
    consider("/memory.limit_in_bytes");
  }
  return limit;
}

// Page cache of the group and its descendants.
std::uint64_t FileCache(const CgroupLevel& level) {
  const auto stat = ReadSystemFile(level.directory + "/memory.stat");
  if (!stat) return 0;
  const std::string prefix = level.v2 ? "" : "total_";
  return FindNumber(*stat, prefix + "active_file").value_or(0) +
         FindNumber(*stat, prefix + "inactive_file").value_or(0);
}

}  // namespace

ProcessMemory ReadProcessMemory(const std::string& root) {
  ProcessMemory memory;
  const auto status = ReadSystemFile(root + "/proc/self/status");
  if (!status) return memory;
  memory.resident = Kilobytes(*status, "VmRSS:").value_or(0);
  memory.peak = Kilobytes(*status, "VmHWM:").value_or(memory.resident);
  // Kernels before 4.5 do not split the resident set.
  const auto anonymous = Kilobytes(*status, "RssAnon:");
  memory.anonymous =
      anonymous ? *anonymous + Kilobytes(*status, "RssShmem:").value_or(0)
                : memory.resident;
  return memory;
}

std::optional<std::uint64_t> SystemRoom(const std::string& root,
                                        std::uint64_t own_anonymous) {
  const auto meminfo = ReadSystemFile(root + "/proc/meminfo");
  if (!meminfo) return std::nullopt;
  const auto available = Kilobytes(*meminfo, "MemAvailable:");
  if (!available) return std::nullopt;
  const std::uint64_t room = *available + own_anonymous;
  return std::min(room, Kilobytes(*meminfo, "MemTotal:").value_or(room));
}

std::optional<std::uint64_t> CgroupRoom(const std::string& root,
                                        std::uint64_t own_anonymous) {
  std::optional<std::uint64_t> smallest;
  for (const CgroupLevel& level : CgroupLevels(root, "memory")) {
    const auto limit = ReadLimit(level);
    if (!limit) continue;
    const std::uint64_t usage =
        ReadNumber(level.directory +
                   (level.v2 ? "/memory.current" : "/memory.usage_in_bytes"))
            .value_or(0);
    const std::uint64_t others =
        SubtractToZero(usage, FileCache(level) + own_anonymous);
    const std::uint64_t room = SubtractToZero(*limit, others);
    smallest = std::min(smallest.value_or(room), room);
  }
  return smallest;
}

std::uint64_t MemoryMargin(std::uint64_t room) {
  return std::clamp(room / 16, 4 * kMib, 512 * kMib);
}

std::uint64_t AvailableMemoryAt(const std::string& root) {
  const std::uint64_t own = ReadProcessMemory(root).anonymous;
  const auto system = SystemRoom(root, own);
  const auto cgroup = CgroupRoom(root, own);
  if (!system && !cgroup) return 0;
  const std::uint64_t room =
      std::min(system.value_or(kUnlimited), cgroup.value_or(kUnlimited));
  return SubtractToZero(room, MemoryMargin(room));
}

std::uint64_t CurrentResidentBytes() { return ReadProcessMemory("").resident; }

std::uint64_t AvailableMemory() { return AvailableMemoryAt(""); }

std::uint64_t PeakResidentBytes() { return ReadProcessMemory("").peak; }

}  // namespace sluice
