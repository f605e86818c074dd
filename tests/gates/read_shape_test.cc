// Gate: a streamed container is read as its flash does best, measured once and
// kept beside it; whatever is kept there, or cannot be, the text is the same.

#include <filesystem>
#include <string>
#include <vector>

#include "engine/container_api.h"
#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

class ReadShape : public ::testing::Test {
 protected:
  void SetUp() override {
    RepackModelOptions options;
    options.input = kStories;
    options.output = folder_.Path("model.sluice");
    options.compress = CompressExperts::kNever;
    const auto report = RepackModel(options);
    ASSERT_TRUE(report) << report.error().message;
    model_ = options.output;
    probe_ = model_ + ".probe";
    expected_ = Stream({"--no-probe"});
    ASSERT_FALSE(std::filesystem::exists(probe_));
    ASSERT_EQ(expected_.at("piece_bytes"), 1 << 20);
    ASSERT_EQ(expected_.at("io_depth"), 32);
  }
  nlohmann::json Stream(std::vector<std::string> flags) {
    std::vector<std::string> arguments = {"run", model_,    "-p", "Once",
                                          "-n",  "16",      "-q", "--temp",
                                          "0",   "--stream"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return tools::RunSluiceJson(arguments);
  }
  void ExpectSameText(const nlohmann::json& run) {
    EXPECT_EQ(run.at("text"), expected_.at("text"));
    EXPECT_EQ(run.at("tokens"), expected_.at("tokens"));
  }

  TestFolder folder_;
  std::string model_;
  std::string probe_;
  nlohmann::json expected_;
};

TEST_F(ReadShape, IsMeasuredOnceAndThenRemembered) {
  if (!expected_.at("direct_io")) GTEST_SKIP() << "no direct reads here";
  const nlohmann::json first = Stream({});
  ExpectSameText(first);
  ASSERT_TRUE(std::filesystem::exists(probe_));
  EXPECT_EQ(folder_.CountFiles(), 2U);
  // Values that no probe chooses show that they come from the file.
  std::string text = tools::ReadTestFile(probe_);
  const std::string found = "piece_bytes " + first.at("piece_bytes").dump() +
                            "\ndepth " + first.at("io_depth").dump() + "\n";
  ASSERT_NE(text.find(found), std::string::npos) << text;
  text.replace(text.find(found), found.size(), "piece_bytes 8192\ndepth 3\n");
  folder_.Write("model.sluice.probe", text);
  const nlohmann::json second = Stream({});
  EXPECT_EQ(second.at("piece_bytes"), 8192);
  EXPECT_EQ(second.at("io_depth"), 3);
  ExpectSameText(second);
  EXPECT_EQ(tools::ReadTestFile(probe_), text);
  // Of another device: measured again.
  text.replace(text.find("device "), 7, "device 9");
  folder_.Write("model.sluice.probe", text);
  const nlohmann::json third = Stream({});
  EXPECT_NE(third.at("piece_bytes"), 8192);
  EXPECT_NE(tools::ReadTestFile(probe_), text);
  ExpectSameText(third);
}

TEST_F(ReadShape, IsNotKeptWhereItCannotBeWritten) {
  std::filesystem::create_directory(probe_);
  ExpectSameText(Stream({}));
  EXPECT_EQ(folder_.CountFiles(), 2U);
  EXPECT_TRUE(std::filesystem::is_directory(probe_));
}

TEST_F(ReadShape, IsNotMeasuredWhereNothingIsStreamedFromFlash) {
  ExpectSameText(Stream({"--device", "memory"}));
  ExpectSameText(Stream({"--no-direct"}));
  const nlohmann::json resident =
      tools::RunSluiceJson({"run", model_, "-p", "Once", "-n", "2"});
  EXPECT_EQ(resident.at("mode"), "resident");
  EXPECT_FALSE(std::filesystem::exists(probe_));
}

// The library asks nothing of the folder unless it is told to.
TEST_F(ReadShape, IsMeasuredOnlyWhenAskedFor) {
  EngineOptions options;
  options.force_streaming = true;
  const auto engine = Engine::Open(model_, options);
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_TRUE((*engine)->mode().streaming);
  EXPECT_FALSE(std::filesystem::exists(probe_));
}

}  // namespace
}  // namespace sluice::gates
