// Who may include whom: the project's folders form a directed graph, and this
// is its one definition. Tests and benchmarks may include anything.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/project/source_tree.h"

namespace sluice::project_tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Names = std::vector<std::string_view>;

struct Layer {
  std::string_view folder;
  // Project headers: whole folders ("storage/") or single files.
  Names project;
  // Headers outside the project and the C++ standard library: whole folders
  // ("fmt/") or single headers.
  Names outside;
};

// Headers of the operating system, for the folders that talk to it.
const Names kSystem = {"fcntl.h", "unistd.h",  "sched.h",  "signal.h",
                       "poll.h",  "pthread.h", "dirent.h", "termios.h",
                       "sys/",    "linux/",    "errno.h",  "malloc.h"};

Names WithSystem(Names names) {
  names.insert(names.end(), kSystem.begin(), kSystem.end());
  return names;
}

const std::vector<Layer>& Layers() {
  static const std::vector<Layer> kLayers = {
      {"storage",
       {"storage/"},
       WithSystem(
           {"liburing.h", "zstd.h", "xxhash.h", "tl/expected.hpp", "fmt/"})},
      // Intrinsics, and what feature detection asks the machine.
      {"kernels",
       {"kernels/"},
       {"immintrin.h", "cpuid.h", "arm_neon.h", "sys/auxv.h", "asm/hwcap.h"}},
      {"cache", {"cache/", "storage/"}, {"fmt/"}},
      {"predictor", {"predictor/", "storage/expert_id.h"}, {}},
      {"engine",
       {"engine/", "cache/", "predictor/", "kernels/", "storage/"},
       WithSystem({"pcre2.h", "fmt/", "nlohmann/"})},
      // A program of the public interface, like any other.
      {"tools",
       {"tools/", "engine/sluice.h", "engine/container_api.h",
        "engine/size_text.h", "engine/sampler.h", "engine/tokenizer.h",
        "engine/routing_trace.h", "engine/replay_api.h", "engine/plan_api.h",
        "engine/precision_calibration.h", "engine/predictor_report.h",
        "engine/predictor_replay.h", "engine/predictor_training.h"},
       WithSystem(
           {"CLI/", "nlohmann/", "fmt/", "histedit.h", "editline/readline.h"})},
  };
  return kLayers;
}

bool Allows(const Names& allowed, std::string_view name) {
  return std::any_of(
      allowed.begin(), allowed.end(), [&](std::string_view entry) {
        return entry.ends_with('/') ? name.starts_with(entry) : name == entry;
      });
}

// <vector>, but not <fmt/format.h> or <unistd.h>.
bool IsStandard(std::string_view name) {
  return name.find_first_of("./") == std::string_view::npos;
}

bool IsFree(std::string_view folder) {
  return folder == "tests" || folder == "bench";
}

// One line per illegal include of `file`; `paths` are the files that exist.
std::vector<std::string> Violations(const SourceFile& file,
                                    const std::set<std::string>& paths) {
  const std::string_view folder = FolderOf(file.path);
  if (IsFree(folder)) return {};
  const auto layer =
      std::find_if(Layers().begin(), Layers().end(),
                   [&](const Layer& l) { return l.folder == folder; });
  if (layer == Layers().end()) {
    return {fmt::format("{}: folder {} is in no layer; add it to Layers()",
                        file.path, folder)};
  }
  std::vector<std::string> violations;
  for (const Include& include : FindIncludes(file.text)) {
    const bool legal = include.angled ? IsStandard(include.name) ||
                                            Allows(layer->outside, include.name)
                                      : Allows(layer->project, include.name) &&
                                            paths.contains(include.name);
    if (!legal) {
      violations.push_back(fmt::format("{}:{}: {} may not include {}",
                                       file.path, include.line, folder,
                                       include.name));
    }
  }
  return violations;
}

TEST(Layering, EveryIncludeIsLegal) {
  const std::vector<SourceFile> files = ReadProject();
  std::set<std::string> paths;
  for (const SourceFile& file : files) paths.insert(file.path);
  std::size_t checked = 0;
  for (const SourceFile& file : files) {
    if (!IsCpp(file.path)) continue;
    ++checked;
    EXPECT_THAT(Violations(file, paths), IsEmpty());
  }
  EXPECT_GT(checked, 20U) << "the project's sources were not found";
}

// The paths that planted files below may name.
const std::set<std::string> kPaths = {
    "storage/expert_id.h",   "storage/gguf.h",    "cache/expert_cache.h",
    "engine/sluice.h",       "engine/pipeline.h", "predictor/predictor.h",
    "kernels/kernel_table.h"};

std::vector<std::string> Planted(std::string path, std::string text) {
  return Violations({std::move(path), std::move(text)}, kPaths);
}

TEST(Layering, UpwardIncludeIsCaught) {
  EXPECT_THAT(Planted("storage/a.cc", "\n#include \"engine/sluice.h\"\n"),
              ElementsAre("storage/a.cc:2: storage may not include "
                          "engine/sluice.h"));
  EXPECT_THAT(Planted("kernels/a.h", "#include \"storage/gguf.h\"\n"),
              SizeIs(1));
  EXPECT_THAT(Planted("cache/a.h", "#include \"predictor/predictor.h\"\n"),
              SizeIs(1));
  EXPECT_THAT(Planted("predictor/a.h", "#include \"cache/expert_cache.h\"\n"),
              SizeIs(1));
}

TEST(Layering, PredictorSeesExpertIdAlone) {
  EXPECT_THAT(Planted("predictor/a.h",
                      "#include <vector>\n#include \"storage/expert_id.h\"\n"),
              IsEmpty());
  EXPECT_THAT(Planted("predictor/a.h", "#include \"storage/gguf.h\"\n"),
              SizeIs(1));
}

TEST(Layering, ToolsSeeThePublicHeadersAlone) {
  EXPECT_THAT(Planted("tools/a.cc", "#include \"engine/sluice.h\"\n"),
              IsEmpty());
  EXPECT_THAT(Planted("tools/a.cc", "#include \"engine/pipeline.h\"\n"),
              SizeIs(1));
  EXPECT_THAT(Planted("tools/a.cc", "#include \"storage/gguf.h\"\n"),
              SizeIs(1));
}

TEST(Layering, ThirdPartyHeadersHaveTheirFolders) {
  EXPECT_THAT(Planted("storage/a.cc", "#include <liburing.h>\n"), IsEmpty());
  EXPECT_THAT(Planted("engine/a.cc", "#include <liburing.h>\n"), SizeIs(1));
  EXPECT_THAT(Planted("kernels/a.cc", "#include <fmt/format.h>\n"), SizeIs(1));
  EXPECT_THAT(Planted("kernels/a.cc", "#include <immintrin.h>\n"), IsEmpty());
  EXPECT_THAT(Planted("cache/a.cc", "#include <unistd.h>\n"), SizeIs(1));
}

TEST(Layering, UnknownHeadersAndFoldersAreCaught) {
  EXPECT_THAT(Planted("storage/a.cc", "#include \"storage/gone.h\"\n"),
              SizeIs(1));
  EXPECT_THAT(Planted("storage/a.cc", "#include \"gguf.h\"\n"), SizeIs(1));
  EXPECT_THAT(Planted("util/a.cc", ""),
              ElementsAre(HasSubstr("is in no layer")));
}

TEST(Layering, CommentsAndLiteralsAreNotIncludes) {
  EXPECT_THAT(Planted("kernels/a.cc",
                      "// #include \"engine/sluice.h\"\n"
                      "/*\n#include \"engine/sluice.h\"\n*/\n"),
              IsEmpty());
  EXPECT_THAT(Planted("kernels/a.cc", "  #  include \"engine/sluice.h\"\n"),
              SizeIs(1));
  EXPECT_THAT(Planted("tests/a.cc", "#include \"engine/pipeline.h\"\n"),
              IsEmpty());
}

}  // namespace
}  // namespace sluice::project_tests
