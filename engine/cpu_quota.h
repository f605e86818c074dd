// CPU quota: how many threads compute best.
//
// Two threads of one core share its arithmetic units, and threads beyond the
// cgroup's CPU quota are stopped for the rest of each period while the others
// wait for them. So: physical cores that this process may run on, but no more
// than whole CPUs of the quota (version 1 cpu.cfs_quota_us, version 2 cpu.max,
// ancestors included), and at least 1.
//
// `root` is empty for the running system; tests give a fake tree.
//
// Thread safety: free functions without state.
#ifndef SLUICE_ENGINE_CPU_QUOTA_H_
#define SLUICE_ENGINE_CPU_QUOTA_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice {

// CPUs in this thread's affinity mask; empty when the kernel does not say.
std::vector<unsigned> AllowedCpus();

// Distinct cores among `cpus`. A CPU whose topology cannot be read counts as a
// core of its own.
unsigned PhysicalCores(const std::string& root, std::span<const unsigned> cpus);

// The smallest quota / period of the groups; none when there is no quota.
std::optional<double> CpuQuota(const std::string& root);

// The rule above, for the CPUs given.
unsigned ThreadsFor(const std::string& root, std::span<const unsigned> cpus);

// The rule above, on the running system.
unsigned DefaultThreads();

}  // namespace sluice

#endif  // SLUICE_ENGINE_CPU_QUOTA_H_
