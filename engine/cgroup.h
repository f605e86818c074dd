// Control groups (cgroups): which directories of /sys/fs/cgroup limit this
// process, for version 1, version 2 and both at once.
//
// Reads /proc/self/cgroup and /proc/self/mountinfo below `root`, which is empty
// for the running system; tests give the path of a fake tree. A group that is
// not visible from here (a container that sees only its own subtree) stands for
// its mount point. Missing or malformed files mean no limit, never an error.
//
// Source: cgroups(7), proc(5), the kernel's admin-guide/cgroup-v2.
//
// Thread safety: free functions without state.
#ifndef SLUICE_ENGINE_CGROUP_H_
#define SLUICE_ENGINE_CGROUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct CgroupLevel {
  std::string directory;  // includes `root`
  bool v2 = false;        // decides the names of the files in it
};

// The directories that hold limits of `controller` ("memory", "cpu") on this
// process, its own group first, then that group's ancestors; version 2 after
// version 1.
std::vector<CgroupLevel> CgroupLevels(const std::string& root,
                                      std::string_view controller);

// The whole file, none when it cannot be read. Files of /proc and /sys only:
// reads 1 MiB at most.
std::optional<std::string> ReadSystemFile(const std::string& path);

// The unsigned decimal number at the start of `text`; none when there is none
// ("max", garbage) or it does not fit.
std::optional<std::uint64_t> ParseUnsigned(std::string_view text);

// The number after `key` and blanks at the start of a line ("key 123",
// "key:  123 kB").
std::optional<std::uint64_t> FindNumber(std::string_view text,
                                        std::string_view key);

}  // namespace sluice

#endif  // SLUICE_ENGINE_CGROUP_H_
