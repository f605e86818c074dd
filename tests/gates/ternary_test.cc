// Gate: models with ternary experts, TQ1_0 and TQ2_0. No fixture has them, so
// the test makes one: the experts of a fixture with F16 weights, each block of
// 256 rounded to -d, 0 and d, once in the ternary type and once in F16, which
// holds the same values. The two differ in nothing but how a product is
// computed.

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/sluice.h"
#include "storage/gguf.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

constexpr std::size_t kBlock = 256;
using Trits = std::array<int, kBlock>;  // -1, 0, 1

// The blocks as the format's definition has them, written for this test.
std::string Tq1Block(const Trits& w, std::uint16_t d) {
  std::string block;
  // `digits` weights from `at` on, `stride` apart, as a fraction in base 3.
  const auto add = [&](std::size_t at, std::size_t stride, std::size_t digits) {
    int number = 0;
    for (std::size_t n = 0; n < 5; ++n) {
      number = 3 * number + (n < digits ? w[at + stride * n] + 1 : 0);
    }
    block += static_cast<char>((number * 256 + 242) / 243);
  };
  for (std::size_t i = 0; i < 32; ++i) add(i, 32, 5);
  for (std::size_t i = 0; i < 16; ++i) add(160 + i, 16, 5);
  for (std::size_t i = 0; i < 4; ++i) add(240 + i, 4, 4);
  return block + std::string(reinterpret_cast<const char*>(&d), 2);
}

std::string Tq2Block(const Trits& w, std::uint16_t d) {
  std::string block(64, '\0');
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::size_t byte = i / 128 * 32 + i % 32;
    block[byte] = static_cast<char>(block[byte] | (w[i] + 1) << i / 32 % 4 * 2);
  }
  return block + std::string(reinterpret_cast<const char*>(&d), 2);
}

std::string F16Block(const Trits& w, std::uint16_t d) {
  std::string block;
  for (const int weight : w) {
    const auto half = static_cast<std::uint16_t>(weight == 0  ? 0
                                                 : weight > 0 ? d
                                                              : d ^ 0x8000U);
    block.append(reinterpret_cast<const char*>(&half), 2);
  }
  return block;
}

struct Kind {
  const char* name;
  storage::TensorType type;
  std::string (*block)(const Trits&, std::uint16_t);
};
constexpr Kind kExact = {"F16", storage::TensorType::kF16, F16Block};

// f16 of a normal value, as a float.
float Value(const char* half) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, half, sizeof(bits));
  const float size = std::ldexp(static_cast<float>(1024 + (bits & 1023)),
                                (bits >> 10 & 31) - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

// The nearest of -d, 0, d to each of the F16 weights at `from`, and d: the
// power of two next below their mean magnitude, times 1.5.
std::pair<Trits, std::uint16_t> Ternarize(const char* from) {
  float sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += std::abs(Value(from + 2 * i));
  const int exponent = std::ilogb(sum / kBlock);
  const float d = std::ldexp(1.5F, exponent);
  Trits trits;
  for (std::size_t i = 0; i < kBlock; ++i) {
    trits[i] = static_cast<int>(
        std::clamp(std::round(Value(from + 2 * i) / d), -1.0F, 1.0F));
  }
  return {trits, static_cast<std::uint16_t>((exponent + 15) << 10 | 512)};
}

class Ternary : public ::testing::TestWithParam<Kind> {
 protected:
  // A copy of the fixture whose experts are of `kind`: their types are changed
  // in the directory, and their bytes, which are fewer, where they are.
  std::string WriteModel(const Kind& kind) const {
    const std::string source = kTestData + "/quants/micro-F16.gguf";
    std::string bytes = tools::ReadTestFile(source);
    const auto gguf = storage::GgufFile::Open(source);
    EXPECT_TRUE(gguf);
    std::size_t changed = 0;
    for (const storage::GgufTensor& tensor : gguf->tensors()) {
      if (tensor.name.find("_exps") == std::string_view::npos) continue;
      const std::string name(tensor.name);
      std::string blocks;
      for (std::size_t at = 0; at < tensor.bytes; at += 2 * kBlock) {
        const auto [trits, d] = Ternarize(bytes.data() + tensor.offset + at);
        blocks += kind.block(trits, d);
      }
      bytes.replace(tensor.offset, blocks.size(), blocks);
      // Name, number of dimensions, three of them, type.
      const std::size_t type = bytes.find(name) + name.size() + 4 + 3 * 8;
      const auto number = static_cast<std::uint32_t>(kind.type);
      std::memcpy(bytes.data() + type, &number, sizeof(number));
      ++changed;
    }
    EXPECT_EQ(changed, 6U);
    return folder_.Write(std::string(kind.name) + ".gguf", bytes);
  }
  LogitsRun Run(const std::string& model,
                const std::vector<std::string>& flags) const {
    return RunLogits(folder_, model, kTestData + "/quants/micro.tokens", flags);
  }
  std::vector<float> Logits() const {
    return ReadFloats(folder_.Path("logits.f32"));
  }

  const TestFolder folder_;
};

TEST_P(Ternary, IsNearTheSameWeightsInFloatOnEveryInstructionSet) {
  Run(WriteModel(kExact), {});
  const std::vector<float> exact = Logits();
  ASSERT_EQ(exact.size(), 48U * 512U);
  const std::string model = WriteModel(GetParam());
  std::string first;
  for (const std::string& isa : AvailableIsas()) {
    const LogitsRun run = Run(model, {"--isa", isa});
    EXPECT_EQ(run.report.at("isa"), isa);
    const std::vector<float> logits = Logits();
    ASSERT_EQ(logits.size(), exact.size());
    double error = 0;
    double size = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      error += std::pow(double{logits[i]} - double{exact[i]}, 2);
      size += std::pow(double{exact[i]}, 2);
    }
    // What 8-bit activations cost the types with a superblock.
    EXPECT_LT(std::sqrt(error / size), 0.012) << isa;
    EXPECT_GT(size, 0.0);
    if (first.empty()) first = run.bytes;
    EXPECT_TRUE(run.bytes == first) << isa << " gives other bits";
  }
}

TEST_P(Ternary, IsTheSameStreamedAndRepacked) {
  const std::string model = WriteModel(GetParam());
  const nlohmann::json report = tools::RunSluiceJson({"inspect", model});
  EXPECT_EQ(
      std::count_if(report.at("tensors").begin(), report.at("tensors").end(),
                    [](const nlohmann::json& tensor) {
                      return tensor.at("type") == GetParam().name;
                    }),
      6);
  const std::string packed = folder_.Path("model.sluice");
  const auto repacked = RunSluice({"repack", model, packed});
  ASSERT_EQ(repacked.exit_code, 0) << repacked.err;
  const LogitsRun want = Run(model, {});
  EXPECT_EQ(want.report.at("mode"), "resident");
  for (const std::string& file : {model, packed}) {
    for (const std::string chunk : {"1", "7", "48"}) {
      const LogitsRun run = Run(file, {"--stream", "--chunk", chunk});
      EXPECT_EQ(run.report.at("mode"), "streaming");
      EXPECT_GT(run.report.at("expert_misses"), 0);
      EXPECT_TRUE(run.bytes == want.bytes) << file << ", chunks of " << chunk;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Types, Ternary,
    ::testing::Values(Kind{"TQ1_0", storage::TensorType::kTQ1_0, Tq1Block},
                      Kind{"TQ2_0", storage::TensorType::kTQ2_0, Tq2Block}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace sluice::gates
