// Memory limits: how much this process may use, and how much it does.
//
// A ceiling counts everything the process uses, so what it has already is part
// of the room, not taken from it:
//
//   system room      MemAvailable + own anonymous memory, at most MemTotal
//   a cgroup's room  limit - (usage - file cache - own anonymous memory)
//
// A group's usage contains page cache, which the kernel gives up before it
// refuses memory, and the process itself; the rest belongs to others and does
// not go away. The limit is memory.limit_in_bytes (version 1) or the smaller of
// memory.max and memory.high (version 2: above `high` the kernel stalls the
// process). Every ancestor counts. AvailableMemory() is the smallest room less
// MemoryMargin(): for the kernel's memory on our behalf, page cache of our
// reads where direct I/O is not to be had, and growth of others.
//
// `root` is empty for the running system; tests give a fake tree.
//
// Thread safety: free functions without state.
#ifndef SLUICE_ENGINE_MEMORY_LIMITS_H_
#define SLUICE_ENGINE_MEMORY_LIMITS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

// From /proc/self/status; bytes, zero where unknown.
struct ProcessMemory {
  std::uint64_t resident = 0;   // VmRSS
  std::uint64_t peak = 0;       // VmHWM
  std::uint64_t anonymous = 0;  // RssAnon + RssShmem: what cannot be dropped
};
ProcessMemory ReadProcessMemory(const std::string& root);

// None when /proc/meminfo does not say.
std::optional<std::uint64_t> SystemRoom(const std::string& root,
                                        std::uint64_t own_anonymous);
// None when no group sets a limit.
std::optional<std::uint64_t> CgroupRoom(const std::string& root,
                                        std::uint64_t own_anonymous);

// A sixteenth of `room`, from 4 MiB to 512 MiB.
std::uint64_t MemoryMargin(std::uint64_t room);

// AvailableMemory() of engine/sluice.h for the system below `root`; 0 when
// nothing is left or nothing is known.
std::uint64_t AvailableMemoryAt(const std::string& root);

// The process's resident set now, bytes.
std::uint64_t CurrentResidentBytes();

}  // namespace sluice

#endif  // SLUICE_ENGINE_MEMORY_LIMITS_H_
