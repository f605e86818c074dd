#include "tests/support/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "engine/cgroup.h"

namespace sluice::testing_support {
namespace {

// Empty, or what failed.
std::string WriteTo(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return "cannot open " + path + ": " + std::strerror(errno);
  const ssize_t written = write(file, text.data(), text.size());
  const int error = errno;
  close(file);
  if (written == static_cast<ssize_t>(text.size())) return "";
  return "cannot write '" + text + "' to " + path + ": " + std::strerror(error);
}

std::uint64_t ReadNumber(const std::string& path, const char* key) {
  const auto text = ReadSystemFile(path);
  if (!text) return 0;
  return (*key == '\0' ? ParseUnsigned(*text) : FindNumber(*text, key))
      .value_or(0);
}

}  // namespace

std::unique_ptr<MemoryCgroup> MemoryCgroup::Create(std::uint64_t limit_bytes,
                                                   std::string& why) {
  // The last level of a version is its mount point; version 1 has the memory
  // controller wherever it has a hierarchy for it.
  const CgroupLevel* mount = nullptr;
  const auto levels = CgroupLevels("", "memory");
  for (const CgroupLevel& level : levels) {
    if (mount == nullptr || !level.v2 || mount->v2) mount = &level;
  }
  if (mount == nullptr) {
    why = "no memory cgroup is mounted";
    return nullptr;
  }
  if (mount->v2) {
    why = WriteTo(mount->directory + "/cgroup.subtree_control", "+memory");
    if (!why.empty()) return nullptr;
  }
  static std::atomic<unsigned> count = 0;
  const std::string directory = mount->directory + "/sluice-test-" +
                                std::to_string(getpid()) + "-" +
                                std::to_string(count++);
  if (mkdir(directory.c_str(), 0755) != 0) {
    why = "cannot create " + directory + ": " + std::strerror(errno);
    return nullptr;
  }
  std::unique_ptr<MemoryCgroup> group(
      new MemoryCgroup(directory, limit_bytes, mount->v2));
  why = WriteTo(
      directory + (mount->v2 ? "/memory.max" : "/memory.limit_in_bytes"),
      std::to_string(limit_bytes));
  if (!why.empty()) return nullptr;
  // Without swap accounting there is no such file, and nothing to forbid.
  if (mount->v2) (void)WriteTo(directory + "/memory.swap.max", "0");
  return group;
}

MemoryCgroup::~MemoryCgroup() {
  // The group is busy until the kernel has buried its last process.
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (rmdir(directory_.c_str()) == 0 || errno != EBUSY) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::uint64_t MemoryCgroup::peak() const {
  return ReadNumber(
      directory_ + (v2_ ? "/memory.peak" : "/memory.max_usage_in_bytes"), "");
}

std::uint64_t MemoryCgroup::current() const {
  return ReadNumber(
      directory_ + (v2_ ? "/memory.current" : "/memory.usage_in_bytes"), "");
}

bool MemoryCgroup::SetLimit(std::uint64_t limit_bytes) {
  const std::string file =
      directory_ + (v2_ ? "/memory.max" : "/memory.limit_in_bytes");
  if (!WriteTo(file, std::to_string(limit_bytes)).empty()) return false;
  limit_ = limit_bytes;
  return true;
}

std::uint64_t MemoryCgroup::oom_kills() const {
  return ReadNumber(
      directory_ + (v2_ ? "/memory.events" : "/memory.oom_control"),
      "oom_kill");
}

}  // namespace sluice::testing_support
