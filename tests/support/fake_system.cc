#include "tests/support/fake_system.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace sluice::testing_support {

FakeSystem::FakeSystem() {
  root_ = (std::filesystem::temp_directory_path() / "sluice-fake-XXXXXX");
  if (mkdtemp(root_.data()) == nullptr) {
    throw std::runtime_error("cannot create " + root_);
  }
}

FakeSystem::~FakeSystem() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

void FakeSystem::Write(std::string_view path, std::string_view text) const {
  const std::filesystem::path file = root_ + std::string(path);
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace sluice::testing_support
