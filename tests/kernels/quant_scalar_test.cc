// The scalar products against double precision, and the formats against values
// worked out by hand.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/activations.h"
#include "kernels/isa_parts.h"
#include "kernels/quant_blocks.h"
#include "tests/kernels/quant_testing.h"

namespace sluice::kernels {
namespace {

class QuantScalarTest : public testing::TestWithParam<QuantType> {
 protected:
  QuantScalarTest() { AddQuantScalar(table_); }
  KernelTable table_;
};

std::string TypeName(const testing::TestParamInfo<QuantType>& info) {
  return info.param.name;
}

// The value that activation i of a record stands for.
double ActivationValue(const std::byte* record, ActivationFormat format,
                       std::size_t columns, std::size_t i) {
  const auto q = std::to_integer<std::int8_t>(record[i]);
  const bool by_32 = format == ActivationFormat::kQ8x32;
  const std::size_t offset =
      by_32 ? Q8x32Layout(columns).scales : Q8x256Layout(columns).scales;
  float scale = 0.0F;
  std::memcpy(&scale, record + offset + i / (by_32 ? 32 : 256) * 4, 4);
  return static_cast<double>(q) * static_cast<double>(scale);
}

TEST_P(QuantScalarTest, MatchesDoublePrecision) {
  const QuantType& type = GetParam();
  const ActivationFormat format = FormatFor(type.type);
  constexpr std::size_t kColumns = 768;
  constexpr std::size_t kRows = 5;
  std::mt19937 rng(1);
  const std::size_t blocks = kColumns / type.block;
  const std::vector<std::byte> weights =
      MakeWeights(type, kRows * blocks, Pattern::kRandom, rng);
  Records records(table_, format, kColumns, 1);
  records.Set(0, MakeInputs(kColumns, Inputs::kNormal, rng));
  std::vector<float> y(kRows);
  table_.matmul[Index(type.type)]({.weights = weights.data(),
                                   .row_bytes = blocks * type.bytes,
                                   .columns = kColumns,
                                   .row_end = kRows,
                                   .activations = records.at(0),
                                   .activation_stride = records.stride(),
                                   .y = y.data(),
                                   .y_stride = kRows});
  std::vector<float> w(kColumns);
  for (std::size_t r = 0; r < kRows; ++r) {
    table_.dequantize[Index(type.type)](
        weights.data() + r * blocks * type.bytes, kColumns, w.data());
    double expected = 0.0;
    double largest = 0.0;
    double total = 0.0;
    for (std::size_t i = 0; i < kColumns; ++i) {
      const double a = ActivationValue(records.at(0), format, kColumns, i);
      expected += static_cast<double>(w[i]) * a;
      largest = std::max(largest, std::abs(static_cast<double>(w[i])));
      total += std::abs(a);
    }
    EXPECT_NEAR(y[r], expected, 2e-7 * largest * total) << "row " << r;
  }
}

TEST_P(QuantScalarTest, NonFiniteScalesReachTheResult) {
  const QuantType& type = GetParam();
  const std::size_t columns = type.block;
  std::mt19937 rng(2);
  for (const std::uint16_t half : {0x7C00, 0xFC00, 0x7E00}) {
    std::vector<std::byte> weights =
        MakeWeights(type, 1, Pattern::kRandom, rng);
    if (type.halves > 0) {
      std::memcpy(weights.data() + type.half_offset, &half, 2);
    } else {
      weights[0] = std::byte{0};  // 2^-128: no scale of MXFP4 is infinite
    }
    Records records(table_, FormatFor(type.type), columns, 1);
    records.Set(0, MakeInputs(columns, Inputs::kNormal, rng));
    for (KernelTable& table : QuantTables()) {
      float y = 0.0F;
      table.matmul[Index(type.type)]({.weights = weights.data(),
                                      .row_bytes = type.bytes,
                                      .columns = columns,
                                      .row_end = 1,
                                      .activations = records.at(0),
                                      .y = &y});
      EXPECT_EQ(std::isfinite(y), type.halves == 0) << table.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, QuantScalarTest,
                         testing::ValuesIn(kQuantTypes), TypeName);

std::vector<float> Dequantize(WeightType type, const void* block,
                              std::size_t n) {
  KernelTable table;
  AddQuantScalar(table);
  std::vector<float> out(n);
  table.dequantize[Index(type)](static_cast<const std::byte*>(block), n,
                                out.data());
  return out;
}

TEST(DequantizeTest, Q8_0) {
  BlockQ8_0 block = {.d = {{0x00, 0xB8}}, .q = {1, -128, 127}};  // -0.5
  const std::vector<float> w = Dequantize(WeightType::kQ8_0, &block, 32);
  EXPECT_EQ(w[0], -0.5F);
  EXPECT_EQ(w[1], 64.0F);
  EXPECT_EQ(w[2], -63.5F);
}

TEST(DequantizeTest, NibblesAndFifthBits) {
  BlockQ5_1 block = {.d = {{0x00, 0x40}},  // 2
                     .m = {{0x00, 0x3C}},  // 1
                     .qh = {0x01, 0, 0x02, 0},
                     .qs = {0x21, 0x43}};
  const std::vector<float> w = Dequantize(WeightType::kQ5_1, &block, 32);
  EXPECT_EQ(w[0], 2.0F * (1 + 16) + 1.0F);
  EXPECT_EQ(w[1], 2.0F * 3 + 1.0F);
  EXPECT_EQ(w[16], 2.0F * 2 + 1.0F);
  EXPECT_EQ(w[17], 2.0F * (4 + 16) + 1.0F);
  EXPECT_EQ(w[31], 1.0F);
}

TEST(DequantizeTest, Mxfp4ScalesIncludeSubnormals) {
  BlockMXFP4 block = {.e = 0, .qs = {0xF1}};  // +0.5 and -6
  EXPECT_EQ(Dequantize(WeightType::kMXFP4, &block, 32)[0], 0x1p-128F);
  EXPECT_EQ(Dequantize(WeightType::kMXFP4, &block, 32)[16], -12 * 0x1p-128F);
  block.e = 1;
  EXPECT_EQ(Dequantize(WeightType::kMXFP4, &block, 32)[0], 0x1p-127F);
  block.e = 2;
  EXPECT_EQ(Dequantize(WeightType::kMXFP4, &block, 32)[0], 0x1p-126F);
  block.e = 127;
  EXPECT_EQ(Dequantize(WeightType::kMXFP4, &block, 32)[16], -6.0F);
}

TEST(DequantizeTest, Q4_KSixBitScales) {
  BlockQ4_K block = {};
  block.d = {{0x00, 0x3C}};     // 1
  block.dmin = {{0x00, 0x40}};  // 2
  block.scales[1] = 0x80 | 5;   // s[1] = 5, top bits of s[5] = 2
  block.scales[5] = 0x40 | 7;   // m[1] = 7, top bits of m[5] = 1
  block.scales[9] = 0x93;       // s[5] = 3 + 32, m[5] = 9 + 16
  block.qs[0] = 0xA0;           // weight 32
  block.qs[64] = 0xB0;          // weight 160
  const std::vector<float> w = Dequantize(WeightType::kQ4_K, &block, 256);
  EXPECT_EQ(w[32], 10.0F * 5 - 2.0F * 7);
  EXPECT_EQ(w[160], 11.0F * 35 - 2.0F * 25);
}

// Digits 2 1 0 2 1 are 2 81 + 27 + 2 3 + 1 = 196, and ceil(256 196 / 243) =
// 207; 0 0 0 0 2 are 2, and 3; 1 2 0 1 are 3 (27 + 2 9 + 1) = 138, and 146.
TEST(DequantizeTest, Tq1_0TakesDigitsOfBaseThree) {
  BlockTQ1_0 block = {};
  block.d = {{0x00, 0x40}};  // 2
  block.qs[1] = 207;
  block.qs[47] = 3;
  block.qh[3] = 146;
  std::vector<float> want(256, -2.0F);
  want[1] = 2.0F;
  want[33] = 0.0F;
  want[97] = 2.0F;
  want[129] = 0.0F;
  want[160 + 4 * 16 + 15] = 2.0F;
  want[243] = 0.0F;
  want[247] = 2.0F;
  want[255] = 0.0F;
  EXPECT_EQ(Dequantize(WeightType::kTQ1_0, &block, 256), want);
}

TEST(DequantizeTest, Tq2_0TakesTwoBits) {
  BlockTQ2_0 block = {};
  block.d = {{0x00, 0xB8}};  // -0.5
  block.qs[3] = 0b11100100;
  block.qs[63] = 0b10000000;
  std::vector<float> want(256, 0.5F);
  want[35] = 0.0F;
  want[67] = -0.5F;
  want[99] = -1.0F;
  want[255] = -0.5F;
  EXPECT_EQ(Dequantize(WeightType::kTQ2_0, &block, 256), want);
}

TEST(QuantizeTest, RoundsToNearestAndKeepsSums) {
  KernelTable table;
  AddQuantScalar(table);
  std::mt19937 rng(3);
  const std::vector<float> x = MakeInputs(512, Inputs::kNormal, rng);
  Records records(table, ActivationFormat::kQ8x32, 512, 1);
  records.Set(0, x);
  const Q8x32Layout layout(512);
  for (std::size_t b = 0; b < 16; ++b) {
    float max = 0.0F;
    int sum = 0;
    for (std::size_t i = 32 * b; i < 32 * b + 32; ++i) {
      max = std::max(max, std::abs(x[i]));
      sum += std::to_integer<std::int8_t>(records.at(0)[i]);
    }
    for (std::size_t i = 32 * b; i < 32 * b + 32; ++i) {
      const double a =
          ActivationValue(records.at(0), ActivationFormat::kQ8x32, 512, i);
      EXPECT_NEAR(a, x[i], max / 127 * 0.5001);
    }
    std::int32_t stored = 0;
    std::memcpy(&stored, records.at(0) + layout.sums + 4 * b, 4);
    EXPECT_EQ(stored, sum);
  }
}

TEST(QuantizeTest, ZeroSubnormalAndNonFiniteBlocks) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const KernelTable& table : QuantTables()) {
    for (const auto format :
         {ActivationFormat::kQ8x32, ActivationFormat::kQ8x256}) {
      for (const float value : {0.0F, 0x1p-149F, 0x1p-130F, kInf, kNan}) {
        std::vector<float> x(256);
        x[37] = value;
        Records records(table, format, 256, 1);
        records.Set(0, x);
        const double a = ActivationValue(records.at(0), format, 256, 37);
        EXPECT_EQ(std::to_integer<int>(records.at(0)[37]), 0);
        EXPECT_EQ(std::isnan(a), !std::isfinite(value)) << value;
        if (std::isfinite(value)) {
          EXPECT_EQ(a, 0.0);
        }
      }
    }
  }
}

TEST(ActivationBytesTest, IsAMultipleOf64AndHoldsAllParts) {
  for (std::size_t columns = 32; columns <= 4096; columns += 32) {
    const std::size_t bytes =
        ActivationBytes(ActivationFormat::kQ8x32, columns);
    EXPECT_EQ(bytes % 64, 0U);
    EXPECT_GE(bytes, columns + columns / 32 * 12);
  }
  EXPECT_EQ(ActivationBytes(ActivationFormat::kQ8x256, 256) % 64, 0U);
  EXPECT_GE(ActivationBytes(ActivationFormat::kQ8x256, 2048),
            2048U + 32 + 256 + 128);
  EXPECT_EQ(ActivationBytes(ActivationFormat::kF32, 100), 448U);
}

}  // namespace
}  // namespace sluice::kernels
