// Gate: what is wrong with a model, a flag or a prompt comes out of the command
// as one line that names it, with exit code 1 or 2 and nothing on stdout.

#include <filesystem>
#include <functional>
#include <optional>

#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

// A small model's bytes, to be damaged at known places.
class ModelBytes {
 public:
  ModelBytes()
      : bytes_(tools::ReadTestFile(kTestData + "/quants/micro-Q4_0.gguf")) {}

  template <typename T>
  void Put(std::size_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof(value));
  }
  void Replace(const std::string& from, const std::string& to) {
    const std::size_t at = bytes_.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    ASSERT_EQ(from.size(), to.size());
    bytes_.replace(at, from.size(), to);
  }
  // Where a tensor of two dimensions has them, its type and its offset.
  std::size_t Dimensions(const std::string& name) const {
    return bytes_.find(name) + name.size() + sizeof(std::uint32_t);
  }
  std::size_t Type(const std::string& name) const {
    return Dimensions(name) + 2 * sizeof(std::uint64_t);
  }
  std::size_t Offset(const std::string& name) const {
    return Type(name) + sizeof(std::uint32_t);
  }
  void Truncate(std::size_t size) { bytes_.resize(size); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

struct Fault {
  const char* name;
  void (*damage)(ModelBytes& model);
  const char* says;  // part of the message
};

constexpr const char* kTensor = "blk.0.attn_k.weight";

const Fault kFaults[] = {
    {"WrongMagic", [](ModelBytes& m) { m.Put(0, 'X'); }, "GGUF"},
    {"UnknownVersion", [](ModelBytes& m) { m.Put<std::uint32_t>(4, 99); },
     "version"},
    {"OldVersion", [](ModelBytes& m) { m.Put<std::uint32_t>(4, 1); },
     "version"},
    {"BigEndian", [](ModelBytes& m) { m.Put<std::uint32_t>(4, 3U << 24); },
     "endian"},
    {"AbsurdTensorCount",
     [](ModelBytes& m) { m.Put<std::uint64_t>(8, 1ULL << 60); }, "tensor"},
    {"AbsurdKeyCount",
     [](ModelBytes& m) { m.Put<std::uint64_t>(16, 1ULL << 60); }, "key"},
    {"AbsurdLength",
     [](ModelBytes& m) { m.Put<std::uint64_t>(24, 1ULL << 60); }, "key"},
    {"OffsetOutsideTheFile",
     [](ModelBytes& m) { m.Put<std::uint64_t>(m.Offset(kTensor), 1ULL << 40); },
     kTensor},
    {"OffsetUnaligned",
     [](ModelBytes& m) { m.Put<std::uint64_t>(m.Offset(kTensor), 33); },
     kTensor},
    {"OverlappingTensors",
     [](ModelBytes& m) { m.Put<std::uint64_t>(m.Offset(kTensor), 0); },
     "overlap"},
    {"MissingTensor",
     [](ModelBytes& m) { m.Replace(kTensor, "blk.0.attn_X.weight"); }, kTensor},
    {"MissingExperts",
     [](ModelBytes& m) {
       m.Replace("blk.1.ffn_up_exps.weight", "blk.1.ffn_UP_exps.weight");
     },
     "blk.1.ffn_up_exps.weight"},
    {"WrongShape",
     [](ModelBytes& m) {
       m.Put<std::uint64_t>(m.Dimensions(kTensor), 128);
       m.Put<std::uint64_t>(m.Dimensions(kTensor) + 8, 256);
     },
     kTensor},
    {"UnsupportedArchitecture",
     [](ModelBytes& m) { m.Replace("qwen3moe", "qwen9moe"); }, "qwen9moe"},
    {"MissingKey",
     [](ModelBytes& m) {
       m.Replace("qwen3moe.block_count", "qwen3moe.block_XXXXX");
     },
     "qwen3moe.block_count"},
    {"UnsupportedType",
     [](ModelBytes& m) { m.Put<std::uint32_t>(m.Type(kTensor), 29); }, kTensor},
    {"TruncatedInATensor",
     [](ModelBytes& m) { m.Truncate(m.bytes().size() - 5000); }, "truncated"},
    {"TruncatedInTheHeader", [](ModelBytes& m) { m.Truncate(1000); },
     "download it again"},
    {"Empty", [](ModelBytes& m) { m.Truncate(0); }, "empty"},
};

class BadModel : public ::testing::TestWithParam<Fault> {};

TEST_P(BadModel, IsRefusedInOneLine) {
  ModelBytes model;
  GetParam().damage(model);
  const TestFolder folder;
  const std::string path = folder.Write("damaged.gguf", model.bytes());
  for (const std::string command : {"run", "plan", "inspect", "bench"}) {
    std::vector<std::string> arguments = {command, path};
    if (command == "run") arguments.insert(arguments.end(), {"-p", "a"});
    const auto result = RunSluice(arguments);
    EXPECT_EQ(result.exit_code, 1) << command << ": " << result.err;
    EXPECT_EQ(result.out, "") << command;
    tools::ExpectOneLine(result.err);
    EXPECT_NE(result.err.find(path), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(GetParam().says), std::string::npos)
        << result.err;
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, BadModel, ::testing::ValuesIn(kFaults),
                         [](const auto& test) {
                           return std::string(test.param.name);
                         });

struct Usage {
  const char* name;
  std::vector<std::string> arguments;
  std::vector<const char*> says;
};

class BadUsage : public ::testing::TestWithParam<Usage> {};

TEST_P(BadUsage, IsRefusedInOneLine) {
  const auto result = RunSluice(GetParam().arguments);
  EXPECT_TRUE(result.exit_code == 1 || result.exit_code == 2) << result.err;
  EXPECT_EQ(result.out, "");
  // A run that gets as far as the prompt has said its mode by then.
  const std::string last =
      result.err.substr(result.err.rfind('\n', result.err.size() - 2) + 1);
  for (const char* part : GetParam().says) {
    EXPECT_NE(last.find(part), std::string::npos) << result.err;
  }
}

const Usage kUsages[] = {
    {"Directory", {"run", kTestData, "-p", "a"}, {"directory"}},
    {"Missing", {"run", "no-such.gguf", "-p", "a"}, {"no-such.gguf"}},
    {"NotFirstOfASplitSet",
     {"run", kTestData + "/model/held.txt", "-p", "a"},
     {"held.txt", "GGUF"}},
    {"MemoryTooSmall",
     {"run", kStories, "-p", "a", "--memory", "3M"},
     {"3.0 MiB", "at least"}},
    {"MemoryNotASize",
     {"run", kStories, "-p", "a", "--memory", "lots"},
     {"--memory", "lots"}},
    {"PromptLongerThanTheContext",
     {"run", kStories, "-f", kTestData + "/model/held.txt", "--ctx", "64"},
     {"64", "context"}},
    {"ContextBeyondTheModel",
     {"run", kStories, "-p", "a", "--ctx", "100000"},
     {"100000", "2048"}},
    {"UnknownInstructionSet",
     {"run", kStories, "-p", "a", "--isa", "mmx"},
     {"mmx"}},
};

INSTANTIATE_TEST_SUITE_P(Uses, BadUsage, ::testing::ValuesIn(kUsages),
                         [](const auto& test) {
                           return std::string(test.param.name);
                         });

TEST(BelowTheFloor, TheNamedFloorIsEnough) {
  if (SLUICE_SANITIZED) GTEST_SKIP() << "sanitizers move the floor";
  const auto plan = tools::RunSluiceJson({"plan", kStories, "--memory", "64M"});
  // The process is not the same size to the page in every run.
  constexpr std::uint64_t kSlack = 2 << 20;
  const auto floor = plan.at("floor_bytes").get<std::uint64_t>();
  const auto run = [](std::uint64_t memory) {
    return RunSluice({"run", kStories, "-p", "a", "-n", "2", "--memory",
                      std::to_string(memory)});
  };
  const auto refused = run(floor - kSlack);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("at least"), std::string::npos) << refused.err;
  const auto accepted = run(floor + kSlack);
  EXPECT_EQ(accepted.exit_code, 0) << accepted.err;
}

}  // namespace
}  // namespace sluice::gates
