// SharedPlanes: a model as a container of nested planes, made once for all
// tests of a program, since fitting its planes takes longer than most of them.
#ifndef SLUICE_TESTS_SUPPORT_SHARED_PLANES_H_
#define SLUICE_TESTS_SUPPORT_SHARED_PLANES_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "engine/container_api.h"
#include "storage/file_set.h"

namespace sluice::testing_support {

// What tells one build of this program from another.
inline std::string BuildKey() {
  struct stat program = {};
  if (stat("/proc/self/exe", &program) != 0) return "";
  return std::to_string(program.st_mtim.tv_sec) + "." +
         std::to_string(program.st_mtim.tv_nsec) + " " +
         std::to_string(program.st_size);
}

// The path of what `gguf` becomes; to be read only. It lies beside the program
// and is made anew when that was built anew; processes that want it at once
// wait for each other.
inline std::string SharedPlanes(const std::string& gguf) {
  const std::string path =
      std::filesystem::read_symlink("/proc/self/exe").string() + "." +
      std::filesystem::path(gguf).stem().string() + "-planes.sluice";
  const storage::FileDescriptor lock(
      open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  EXPECT_GE(lock.get(), 0) << path;
  EXPECT_EQ(flock(lock.get(), LOCK_EX), 0);
  const std::string key = BuildKey();
  std::string made;
  std::getline(std::ifstream(path + ".key"), made);
  if (!key.empty() && made == key) return path;
  RepackModelOptions options;
  options.input = gguf;
  options.output = path;
  options.planes = true;
  options.compress = CompressExperts::kNever;
  options.force = true;
  const auto report = RepackModel(options);
  EXPECT_TRUE(report) << report.error().message;
  std::ofstream(path + ".key") << key;
  return path;
}

}  // namespace sluice::testing_support

#endif  // SLUICE_TESTS_SUPPORT_SHARED_PLANES_H_
