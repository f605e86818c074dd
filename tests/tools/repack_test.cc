// `sluice repack` and `sluice verify`: what they write, refuse, detect and go
// on from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/tools/sluice_command.h"

namespace sluice::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kMicro = kTestData + "/quants/micro-Q4_K_M.gguf";

// `arguments` must fail with `code` and one line that holds `part`.
void ExpectRefusal(const std::vector<std::string>& arguments, int code,
                   const std::string& part) {
  const CommandResult outcome = RunSluice(arguments);
  SCOPED_TRACE(testing::PrintToString(arguments));
  EXPECT_EQ(outcome.exit_code, code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr(part));
  ExpectOneLine(outcome.err);
}

void FlipByte(const std::string& path, std::size_t offset) {
  std::string bytes = ReadTestFile(path);
  ASSERT_LT(offset, bytes.size());
  bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Repack, ReportsWhatItWroteAndVerifyAgrees) {
  const TestFolder folder;
  const std::string out = folder.Path("micro.sluice");
  const nlohmann::json report =
      RunSluiceJson({"repack", kMicro, out, "--compress", "never"});
  EXPECT_THAT(
      Keys(report),
      ElementsAre("compression", "dense_tensors", "input", "input_bytes",
                  "interleaved_bytes", "output", "output_bytes", "planes",
                  "records", "resumed", "verified", "verified_bytes",
                  "verify_seconds", "weight_bytes", "write_bytes_per_second",
                  "write_seconds"));
  EXPECT_EQ(report["input_bytes"], std::filesystem::file_size(kMicro));
  EXPECT_EQ(report["output_bytes"], std::filesystem::file_size(out));
  EXPECT_EQ(report["resumed"], false);
  EXPECT_EQ(report["verified"], true);
  EXPECT_EQ(report["verified_bytes"], report["output_bytes"]);
  EXPECT_GT(report["interleaved_bytes"], 0);
  EXPECT_LE(report["interleaved_bytes"], report["weight_bytes"]);
  EXPECT_EQ(report["compression"]["compressed"], false);
  EXPECT_EQ(report["compression"]["measured"], false);
  EXPECT_TRUE(report["compression"]["ratio"].is_null());
  EXPECT_EQ(folder.CountFiles(), 1U);  // no temporary is left

  const nlohmann::json verified = RunSluiceJson({"verify", out});
  EXPECT_THAT(Keys(verified),
              ElementsAre("bytes_per_second", "compressed", "dense_tensors",
                          "file", "file_bytes", "parts", "records", "seconds"));
  EXPECT_EQ(verified["file_bytes"], report["output_bytes"]);
  EXPECT_EQ(verified["records"], report["records"]);
  EXPECT_EQ(verified["dense_tensors"], report["dense_tensors"]);
  EXPECT_EQ(verified["parts"], 3 * report["records"].get<int>());
  EXPECT_EQ(verified["compressed"], false);
}

TEST(Repack, PlanesAreSaidAndCalibrationNeedsThem) {
  const TestFolder folder;
  const std::string out = folder.Path("micro.sluice");
  const nlohmann::json report =
      RunSluiceJson({"repack", kMicro, out, "--planes"});
  EXPECT_EQ(report["planes"], true);
  EXPECT_EQ(RunSluiceJson({"verify", out})["parts"],
            6 * report["records"].get<int>());
  ExpectRefusal({"repack", kMicro, out, "--force", "--calibrate", kMicro}, 2,
                "--planes");
}

TEST(Repack, CompressesWhenAskedTo) {
  const TestFolder folder;
  const std::string out = folder.Path("micro.sluice");
  const nlohmann::json report = RunSluiceJson(
      {"repack", kMicro, out, "--compress", "always", "--no-verify"});
  EXPECT_EQ(report["compression"]["compressed"], true);
  EXPECT_EQ(report["verified"], false);
  EXPECT_EQ(report["verified_bytes"], 0);
  EXPECT_TRUE(report["verify_seconds"].is_null());
  EXPECT_EQ(RunSluiceJson({"verify", out})["compressed"], true);
}

TEST(Repack, DecidesOnCompressionWithNumbers) {
  const TestFolder folder;
  const std::string out = folder.Path("stories.sluice");
  const nlohmann::json report = RunSluiceJson({"repack", kStories, out});
  const nlohmann::json& decision = report["compression"];
  EXPECT_EQ(decision["measured"], true);
  for (const char* figure :
       {"sample_bytes", "ratio", "flash_bytes_per_second",
        "decompress_bytes_per_second", "stored_seconds_per_gb",
        "compressed_seconds_per_gb"}) {
    EXPECT_GT(decision[figure], 0) << figure;
  }
  EXPECT_EQ(decision["compressed"],
            RunSluiceJson({"verify", out})["compressed"]);
}

TEST(Repack, TextNamesTheDecisionAndTheFile) {
  const TestFolder folder;
  const std::string out = folder.Path("micro.sluice");
  const CommandResult repacked = RunSluice({"repack", kMicro, out});
  EXPECT_EQ(repacked.exit_code, 0) << repacked.err;
  EXPECT_EQ(repacked.err, "");
  EXPECT_THAT(repacked.out, HasSubstr("compressed: flash reads "));
  EXPECT_THAT(repacked.out, HasSubstr("\n" + out + ": "));
  EXPECT_THAT(repacked.out, HasSubstr("; verified meanwhile and "));
  const CommandResult verified = RunSluice({"verify", out});
  EXPECT_EQ(verified.exit_code, 0) << verified.err;
  EXPECT_THAT(verified.out, HasSubstr(out + ": sound; "));
}

TEST(Repack, IsTheSameFileEveryTime) {
  const TestFolder folder;
  const std::string once = folder.Path("once");
  const std::string again = folder.Path("again");
  RunSluiceJson({"repack", kMicro, once, "--compress", "always"});
  RunSluiceJson({"repack", kMicro, again, "--compress", "always"});
  EXPECT_TRUE(ReadTestFile(once) == ReadTestFile(again));
}

TEST(Repack, ReplacesOnlyWithForce) {
  const TestFolder folder;
  const std::string out = folder.Write("old.sluice", "old");
  ExpectRefusal({"repack", kMicro, out}, 2, "exists already; --force");
  EXPECT_EQ(ReadTestFile(out), "old");
  EXPECT_EQ(RunSluice({"repack", kMicro, out, "--force"}).exit_code, 0);
  EXPECT_EQ(RunSluice({"verify", out}).exit_code, 0);
  EXPECT_EQ(folder.CountFiles(), 1U);
}

TEST(Repack, RefusesBadPathsAndLeavesNothing) {
  const TestFolder folder;
  const std::string out = folder.Path("out.sluice");
  ExpectRefusal({"repack", folder.Path("none.gguf"), out}, 1, "none.gguf");
  ExpectRefusal({"repack", kMicro, folder.Path("")}, 2, "is a folder");
  ExpectRefusal({"repack", kMicro, folder.Path("none/out.sluice")}, 1,
                "no such folder");
  ExpectRefusal({"repack", folder.Path(""), out}, 2, "is a directory");
  EXPECT_EQ(folder.CountFiles(), 0U);
  const std::string text = folder.Write("text.gguf", "no model at all");
  EXPECT_EQ(RunSluice({"repack", text, out}).exit_code, 1);
  ExpectRefusal({"repack", text, text, "--force"}, 1, "text.gguf");
  EXPECT_EQ(folder.CountFiles(), 1U);
}

TEST(Repack, InterruptSaysHowToGoOn) {
  const TestFolder folder;
  const std::string out = folder.Path("out.sluice");
  // Where the machine is slow the first signals come before the command could
  // ask to be told of them, and simply end it.
  CommandResult result;
  for (int milliseconds = 60; milliseconds < 8000; milliseconds *= 2) {
    CommandOptions options;
    options.signal = {.number = SIGINT,
                      .after = std::chrono::milliseconds(milliseconds)};
    result =
        RunSluice({"repack", kStories, out, "--compress", "always"}, options);
    if (result.signal != SIGINT) break;
  }
  // Where the machine is faster than the signal there is nothing to see.
  if (result.exit_code != 0) {
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_FALSE(std::filesystem::exists(out));
  }
  if (!result.err.empty()) {
    EXPECT_THAT(result.err, HasSubstr("run repack again to go on"));
    ExpectOneLine(result.err);
  }
  EXPECT_EQ(
      RunSluice({"repack", kStories, out, "--compress", "always", "--force"})
          .exit_code,
      0);
  EXPECT_EQ(RunSluice({"verify", out}).exit_code, 0);
}

TEST(Repack, KilledAtAnyMomentResumesToTheSameFile) {
  const TestFolder folder;
  const std::string whole = folder.Path("whole.sluice");
  const std::string resumed = folder.Path("resumed.sluice");
  RunSluiceJson({"repack", kStories, whole, "--compress", "always"});
  const std::string expected = ReadTestFile(whole);
  int killed = 0;
  for (const int milliseconds : {5, 40, 120, 250, 450}) {
    CommandOptions options;
    options.signal = {.number = SIGKILL,
                      .after = std::chrono::milliseconds(milliseconds)};
    const CommandResult result = RunSluice(
        {"repack", kStories, resumed, "--compress", "always", "--force"},
        options);
    if (result.signal == SIGKILL) ++killed;
    // Under its name there is never anything but the whole file.
    if (std::filesystem::exists(resumed)) {
      EXPECT_TRUE(ReadTestFile(resumed) == expected) << milliseconds;
    }
    RunSluiceJson(
        {"repack", kStories, resumed, "--compress", "always", "--force"});
    EXPECT_TRUE(ReadTestFile(resumed) == expected) << milliseconds;
    EXPECT_EQ(folder.CountFiles(), 2U) << milliseconds;
    std::filesystem::remove(resumed);
  }
  EXPECT_GT(killed, 0);
}

TEST(Verify, NamesThePlaceOfAFlippedByte) {
  const TestFolder folder;
  const std::string out = folder.Path("micro.sluice");
  RunSluiceJson({"repack", kMicro, out, "--compress", "never"});
  const std::string sound = ReadTestFile(out);
  for (int i = 0; i < 16; ++i) {
    const std::size_t offset = sound.size() * (2 * i + 1) / 32;
    FlipByte(out, offset);
    SCOPED_TRACE(offset);
    const CommandResult outcome = RunSluice({"verify", out});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.out, "");
    ExpectOneLine(outcome.err);
    EXPECT_THAT(outcome.err, HasSubstr(out + ": "));
    FlipByte(out, offset);
  }
  // The last quarter of the file is experts.
  FlipByte(out, sound.size() * 3 / 4);
  EXPECT_THAT(RunSluice({"verify", out}).err, HasSubstr("expert"));
}

TEST(Verify, RefusesWhatIsNoContainer) {
  const TestFolder folder;
  ExpectRefusal({"verify", folder.Path("none.sluice")}, 1, "none.sluice");
  ExpectRefusal({"verify", kMicro}, 1, "micro-Q4_K_M.gguf");
  ExpectRefusal({"verify", folder.Write("empty", "")}, 1, "empty");
  ExpectRefusal({"verify", folder.Path("")}, 2, "not a regular file");
}

}  // namespace
}  // namespace sluice::tools
