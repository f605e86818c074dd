// Gate: a container gives the GGUF's logits, bit for bit: every weight type and
// instruction set, compressed or not, resident or streamed, with one read per
// expert; and a damaged record is an error that names it, never wrong text.

#include <filesystem>

#include "engine/container_api.h"
#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

std::string Repack(const TestFolder& folder, const std::string& gguf,
                   CompressExperts compress) {
  RepackModelOptions options;
  options.input = gguf;
  options.output = folder.Path("model.sluice");
  options.force = true;
  options.compress = compress;
  const auto report = RepackModel(options);
  EXPECT_TRUE(report) << report.error().message;
  return options.output;
}

class Container : public ::testing::TestWithParam<std::string> {};

TEST_P(Container, GivesTheLogitsOfTheGguf) {
  const TestFolder folder;
  const std::string gguf = kTestData + "/quants/" + GetParam() + ".gguf";
  const std::string tokens = kTestData + "/quants/micro.tokens";
  for (const auto compress :
       {CompressExperts::kNever, CompressExperts::kAlways}) {
    const std::string packed = Repack(folder, gguf, compress);
    for (const std::string& isa : AvailableIsas()) {
      const LogitsRun expected =
          RunLogits(folder, gguf, tokens, {"--isa", isa});
      const LogitsRun resident =
          RunLogits(folder, packed, tokens, {"--isa", isa});
      EXPECT_TRUE(resident.bytes == expected.bytes) << isa << " resident";
      const LogitsRun streamed =
          RunLogits(folder, packed, tokens, {"--isa", isa, "--stream"});
      EXPECT_TRUE(streamed.bytes == expected.bytes) << isa << " streamed";
      ASSERT_TRUE(streamed.report.is_object());
      EXPECT_EQ(streamed.report.at("mode"), "streaming");
      EXPECT_GT(streamed.report.at("expert_misses"), 0);
      EXPECT_EQ(streamed.report.at("flash_reads").get<int>(),
                streamed.report.at("expert_misses").get<int>() +
                    streamed.report.at("prefetch_issued").get<int>())
          << "one read per expert";
    }
  }
}

std::vector<std::string> MicroModels() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(kTestData + "/quants")) {
    if (entry.path().extension() == ".gguf") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Types, Container, ::testing::ValuesIn(MicroModels()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(StoriesContainer, SameLogitsUnderMemoryCeilings) {
  const TestFolder folder;
  const std::string tokens = WriteHeldTokens(folder, 100);
  const LogitsRun expected = RunLogits(folder, kStories, tokens, {});
  for (const auto compress :
       {CompressExperts::kNever, CompressExperts::kAlways}) {
    const std::string packed = Repack(folder, kStories, compress);
    for (const std::string memory : {"45M", "60M"}) {
      if (SLUICE_SANITIZED) continue;  // a sanitized process is larger
      for (const std::string verify : {"first", "always", "never"}) {
        const LogitsRun run =
            RunLogits(folder, packed, tokens,
                      {"--memory", memory, "--stream", "--verify-reads", verify,
                       "--chunk", "4"});
        EXPECT_TRUE(run.bytes == expected.bytes) << memory << " " << verify;
        ASSERT_TRUE(run.report.is_object());
        EXPECT_GT(run.report.at("expert_hits"), 0);
        EXPECT_GT(run.report.at("evictions"), 0);
      }
    }
    const LogitsRun resident = RunLogits(folder, packed, tokens, {});
    EXPECT_TRUE(resident.bytes == expected.bytes);
  }
}

TEST(StoriesContainer, TheGgufIsNotNeeded) {
  const TestFolder folder;
  const std::string gguf = folder.Path("copy.gguf");
  std::filesystem::copy_file(kStories, gguf);
  const std::string packed = Repack(folder, gguf, CompressExperts::kNever);
  std::filesystem::remove(gguf);
  const auto from_gguf =
      RunSluice({"run", kStories, "-p", "Once", "-n", "20", "--temp", "0"});
  const auto from_container =
      RunSluice({"run", packed, "-p", "Once", "-n", "20", "--temp", "0"});
  EXPECT_EQ(from_container.exit_code, 0) << from_container.err;
  EXPECT_EQ(from_container.out, from_gguf.out);
  const auto tokens = RunSluice({"tokenize", packed, "--text", "-"}, "Once");
  EXPECT_EQ(tokens.exit_code, 0) << tokens.err;
}

TEST(StoriesContainer, ADamagedRecordIsAnErrorThatNamesIt) {
  const TestFolder folder;
  const std::string packed = Repack(folder, kStories, CompressExperts::kNever);
  std::string bytes = tools::ReadTestFile(packed);
  // A byte in every 64 KiB of the second half, which is all records.
  for (std::size_t at = bytes.size() / 2; at + 8192 < bytes.size();
       at += 1 << 16) {
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
  }
  const std::string damaged = folder.Write("damaged.sluice", bytes);
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{}, {"--stream"}}) {
    std::vector<std::string> arguments = {"run",  damaged, "-p",
                                          "Once", "-n",    "40"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto result = RunSluice(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "") << "text from a damaged model";
    EXPECT_NE(result.err.find(damaged), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("expert"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("layer"), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace sluice::gates
