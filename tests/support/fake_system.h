// FakeSystem: a temporary directory that stands for "/" in tests of code that
// reads /proc and /sys. Removed with everything in it on destruction.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TESTS_SUPPORT_FAKE_SYSTEM_H_
#define SLUICE_TESTS_SUPPORT_FAKE_SYSTEM_H_

#include <string>
#include <string_view>

namespace sluice::testing_support {

class FakeSystem {
 public:
  FakeSystem();
  ~FakeSystem();
  FakeSystem(const FakeSystem&) = delete;
  FakeSystem& operator=(const FakeSystem&) = delete;

  const std::string& root() const { return root_; }
  // Creates `path` ("/proc/meminfo") and the directories above it.
  void Write(std::string_view path, std::string_view text) const;

 private:
  std::string root_;
};

}  // namespace sluice::testing_support

#endif  // SLUICE_TESTS_SUPPORT_FAKE_SYSTEM_H_
