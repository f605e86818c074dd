// MemoryCgroup: a child memory control group with a limit, for running a
// command under a memory cap and reading its peak (page cache included).
//
// Created below the mount point of the memory controller, version 1 or 2;
// removed on destruction, when the commands run in it must be gone. Needs root
// and a writable cgroup mount.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TESTS_SUPPORT_CGROUP_H_
#define SLUICE_TESTS_SUPPORT_CGROUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace sluice::testing_support {

class MemoryCgroup {
 public:
  // Null when this machine does not let us; `why` then says what failed.
  static std::unique_ptr<MemoryCgroup> Create(std::uint64_t limit_bytes,
                                              std::string& why);
  ~MemoryCgroup();
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;

  // A process that writes "0" to this file joins.
  std::string procs_path() const { return directory_ + "/cgroup.procs"; }
  const std::string& directory() const { return directory_; }
  std::uint64_t limit() const { return limit_; }
  // The most that was charged at once; 0 where the kernel does not record it
  // (version 2 before Linux 5.19).
  std::uint64_t peak() const;
  // What is charged now, page cache included.
  std::uint64_t current() const;
  // False when the kernel cannot get below it.
  bool SetLimit(std::uint64_t limit_bytes);
  // Processes killed because the limit was reached.
  std::uint64_t oom_kills() const;

 private:
  MemoryCgroup(std::string directory, std::uint64_t limit, bool v2)
      : directory_(std::move(directory)), limit_(limit), v2_(v2) {}

  std::string directory_;
  std::uint64_t limit_;
  bool v2_;
};

}  // namespace sluice::testing_support

// Declares `name`, a std::unique_ptr<MemoryCgroup> that is not null, or skips
// the test and says so.
#define SLUICE_MEMORY_CGROUP_OR_SKIP(name, limit_bytes)                 \
  std::string name##_why;                                               \
  const auto name = ::sluice::testing_support::MemoryCgroup::Create(    \
      limit_bytes, name##_why);                                         \
  if (name == nullptr) {                                                \
    GTEST_SKIP() << "*** THE MEMORY CAP IS NOT TESTED: " << name##_why  \
                 << " (run as root with a writable memory cgroup) ***"; \
  }                                                                     \
  static_assert(true, "a semicolon follows")

#endif  // SLUICE_TESTS_SUPPORT_CGROUP_H_
