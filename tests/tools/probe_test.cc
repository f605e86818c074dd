// `sluice probe`: its table, its JSON and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Probe, ReportsEveryPointOfAFile) {
  const nlohmann::json report = RunSluiceJson({"probe", kStories, "--quick"});
  EXPECT_THAT(Keys(report),
              ElementsAre("choice", "device", "direct", "file_bytes", "path",
                          "points", "scratch"));
  EXPECT_EQ(report["file_bytes"], std::filesystem::file_size(kStories));
  EXPECT_EQ(report["scratch"], false);
  ASSERT_EQ(report["points"].size(), 9U);
  double best = 0;
  for (const nlohmann::json& point : report["points"]) {
    EXPECT_GT(point["bytes_per_second"], 0);
    EXPECT_GE(point["p99_latency_seconds"], point["median_latency_seconds"]);
    best = std::max(best, point["bytes_per_second"].get<double>());
  }
  EXPECT_GE(report["choice"]["bytes_per_second"], 0.95 * best);
  EXPECT_THAT(report["points"], testing::Contains(report["choice"]));
}

TEST(Probe, LeavesNothingInAFolder) {
  const TestFolder folder;
  const CommandResult outcome =
      RunSluice({"probe", folder.Path(""), "--quick"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("request  depth"));
  EXPECT_THAT(outcome.out, HasSubstr("a scratch file of 64.0 MiB"));
  EXPECT_EQ(folder.CountFiles(), 0U);
}

TEST(Probe, RefusesWhatCannotBeRead) {
  const TestFolder folder;
  const CommandResult missing = RunSluice({"probe", folder.Path("none")});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("none: "));
  ExpectOneLine(missing.err);
  const CommandResult tiny = RunSluice({"probe", folder.Write("tiny", "x")});
  EXPECT_EQ(tiny.exit_code, 2);
  EXPECT_THAT(tiny.err, HasSubstr("too small"));
  ExpectOneLine(tiny.err);
}

}  // namespace
}  // namespace sluice::tools
