// Nested weights: both levels as specified in kernels/planes.h, products equal
// on every instruction set, and a fit that is close at both levels.
#include "kernels/planes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/activations.h"
#include "kernels/rows8.h"
#include "tests/kernels/quant_testing.h"
#include "tests/kernels/table_test_support.h"

namespace sluice::kernels {
namespace {

constexpr QuantType kBase = {WeightType::kPlane2, "base", 256, 82, 0, 1};
constexpr QuantType kResidual = {
    WeightType::kPlane2, "residual", 256, 66, 0, 1};

using Bytes = std::vector<std::byte>;

unsigned Byte(const Bytes& bytes, std::size_t at) {
  return std::to_integer<unsigned>(bytes[at]);
}
float HalfAt(const Bytes& bytes, std::size_t at) {
  return static_cast<float>(ReferenceF16(
      static_cast<std::uint16_t>(Byte(bytes, at) | Byte(bytes, at + 1) << 8)));
}
// Code of weight i in the qs at `at`.
int CodeAt(const Bytes& bytes, std::size_t at, std::size_t i) {
  return static_cast<int>(
      Byte(bytes, at + i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3U);
}

// A weight's scale and level, by the text of the specification.
struct Level {
  int scale;
  int level;
  int product() const { return scale * level; }
  float value(float d) const {
    return d * static_cast<float>(scale) * static_cast<float>(level);
  }
};
Level BaseLevel(const Bytes& base, std::size_t i) {
  const std::size_t block = i / 256 * 82;
  const unsigned packed = Byte(base, block + 2 + i % 256 / 16);
  const int m = static_cast<int>(packed >> 4);
  return {static_cast<int>(packed & 15U),
          8 * CodeAt(base, block + 18, i % 256) + m - 19};
}
Level FullLevel(const Bytes& base, const Bytes& residual, std::size_t i) {
  const std::size_t block = i / 256 * 82;
  const unsigned packed = Byte(base, block + 2 + i % 256 / 16);
  const int m = static_cast<int>(packed >> 4);
  const int c = 4 * CodeAt(base, block + 18, i % 256) +
                CodeAt(residual, i / 256 * 66 + 2, i % 256);
  return {static_cast<int>(packed & 15U), 2 * c + m - 22};
}

TEST(PlanesTest, BothLevelsAreTheSpecifications) {
  std::mt19937 rng(3);
  constexpr std::size_t kBlocks = 5;
  for (const Pattern pattern : kPatterns) {
    const Bytes base = MakeWeights(kBase, kBlocks, pattern, rng);
    const Bytes residual = MakeWeights(kResidual, kBlocks, pattern, rng);
    std::vector<float> low(256 * kBlocks);
    std::vector<float> full(256 * kBlocks);
    ScalarTable().dequantize[Index(WeightType::kPlane2)](
        base.data(), low.size(), low.data());
    DequantizePlanes(base.data(), residual.data(), full.size(), full.data());
    for (std::size_t i = 0; i < low.size(); ++i) {
      const float d = HalfAt(base, i / 256 * 82);
      const float both = HalfAt(residual, i / 256 * 66);
      ASSERT_EQ(Bits(low[i]), Bits(BaseLevel(base, i).value(d))) << i;
      ASSERT_EQ(Bits(full[i]), Bits(FullLevel(base, residual, i).value(both)))
          << i;
    }
  }
}

// Both planes of a matrix in the layout rows8, made without the code under
// test, and the same in rows.
struct Matrix {
  Matrix(std::size_t row_count, std::size_t row_blocks, Pattern pattern,
         std::mt19937& rng)
      : rows(row_count),
        blocks(row_blocks),
        base(MakeWeights(kBase, rows * blocks, pattern, rng)),
        residual(MakeWeights(kResidual, rows * blocks, pattern, rng)),
        base8(Interleaved(base, 82, {{0, 2, 1}, {2, 4, 4}, {18, 4, 16}})),
        residual8(Interleaved(residual, 66, {{0, 2, 1}, {2, 4, 16}})) {}

  struct Field {
    std::size_t from;
    std::size_t unit;
    std::size_t count;
  };
  Bytes Interleaved(const Bytes& from, std::size_t bytes,
                    const std::vector<Field>& fields) const {
    Bytes out;
    for (std::size_t group = 0; group < rows; group += 8) {
      for (std::size_t b = 0; b < blocks; ++b) {
        for (const Field& field : fields) {
          for (std::size_t u = 0; u < field.count; ++u) {
            for (std::size_t r = group; r < group + 8; ++r) {
              const std::size_t at =
                  (r * blocks + b) * bytes + field.from + u * field.unit;
              out.insert(out.end(), &from[at], &from[at] + field.unit);
            }
          }
        }
      }
    }
    return out;
  }

  std::size_t rows;
  std::size_t blocks;
  Bytes base;
  Bytes residual;
  Bytes base8;
  Bytes residual8;
};

std::vector<float> Run(const KernelTable& table, const Matrix& matrix,
                       Records& records, std::size_t tokens) {
  std::vector<float> y(tokens * (matrix.rows + 3), 12345.0F);
  table.matmul_planes({.weights = matrix.base8.data(),
                       .row_bytes = matrix.blocks * 82,
                       .columns = matrix.blocks * 256,
                       .row_begin = 0,
                       .row_end = matrix.rows,
                       .activations = records.at(0),
                       .activation_stride = records.stride(),
                       .tokens = tokens,
                       .y = y.data(),
                       .y_stride = matrix.rows + 3,
                       .residual = matrix.residual8.data()});
  return y;
}

// One output by the definition of kernels/activations.h.
float Product(const Matrix& matrix, std::size_t row, const std::byte* record) {
  const Q8x256Layout layout(matrix.blocks * 256);
  const auto* q = reinterpret_cast<const std::int8_t*>(record);
  const auto* scales = reinterpret_cast<const float*>(record + layout.scales);
  const Bytes base(&matrix.base[row * matrix.blocks * 82],
                   &matrix.base[row * matrix.blocks * 82] + matrix.blocks * 82);
  const Bytes residual(
      &matrix.residual[row * matrix.blocks * 66],
      &matrix.residual[row * matrix.blocks * 66] + matrix.blocks * 66);
  float acc = 0;
  for (std::size_t b = 0; b < matrix.blocks; ++b) {
    std::int32_t sum = 0;
    for (std::size_t i = 256 * b; i < 256 * b + 256; ++i) {
      sum += FullLevel(base, residual, i).product() * q[i];
    }
    acc = std::fma(HalfAt(residual, 66 * b) * scales[b],
                   static_cast<float>(sum), acc);
  }
  return acc;
}

void Compare(std::size_t rows, std::size_t blocks, std::size_t tokens,
             Pattern pattern, Inputs inputs) {
  std::mt19937 rng(static_cast<unsigned>(rows + blocks + tokens));
  const Matrix matrix(rows, blocks, pattern, rng);
  Records records(ScalarTable(), ActivationFormat::kQ8x256, blocks * 256,
                  tokens);
  for (std::size_t t = 0; t < tokens; ++t) {
    records.Set(t, MakeInputs(blocks * 256, inputs, rng));
  }
  std::vector<float> want(tokens * (rows + 3), 12345.0F);
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < rows; ++r) {
      want[t * (rows + 3) + r] = Product(matrix, r, records.at(t));
    }
  }
  for (const KernelTable& table : QuantTables()) {
    ExpectSameBits(want, Run(table, matrix, records, tokens),
                   std::string(table.name) + " rows " + std::to_string(rows) +
                       " blocks " + std::to_string(blocks) + " tokens " +
                       std::to_string(tokens));
  }
}

TEST(PlanesTest, ProductsAreEqualForEveryShape) {
  for (const std::size_t rows : {8, 16, 24, 40}) {
    for (std::size_t tokens = 1; tokens <= 9; ++tokens) {
      Compare(rows, 3, tokens, Pattern::kRandom, Inputs::kNormal);
    }
    Compare(rows, 1, 33, Pattern::kRandom, Inputs::kNormal);
  }
}

TEST(PlanesTest, ExtremesDoNotSaturate) {
  for (const Pattern pattern : kPatterns) {
    for (const Inputs inputs : kInputs) {
      Compare(16, 2, 1, pattern, inputs);
      Compare(24, 2, 17, pattern, inputs);
    }
  }
}

struct Fitted {
  std::vector<float> x;
  std::vector<float> low;
  std::vector<float> full;
};
Fitted Fit(std::vector<float> x, const std::vector<float>& importance = {}) {
  const std::size_t columns = x.size() / 8;
  const std::size_t blocks = columns / 256;
  Bytes base(8 * blocks * 82);
  Bytes residual(8 * blocks * 66);
  for (const KernelTable& table : QuantTables()) {
    Bytes base_here(base.size());
    Bytes residual_here(residual.size());
    FitPlanes(table,
              {.rows = reinterpret_cast<const std::byte*>(x.data()),
               .row_bytes = columns * 4,
               .columns = columns,
               .importance = importance.empty() ? nullptr : importance.data(),
               .base = base_here.data(),
               .residual = residual_here.data()});
    if (table.name == "scalar") {
      base = base_here;
      residual = residual_here;
    }
    EXPECT_EQ(base, base_here) << table.name;
    EXPECT_EQ(residual, residual_here) << table.name;
  }
  Fitted fitted{x, std::vector<float>(x.size()), std::vector<float>(x.size())};
  // Back to rows, by the fields' places in their group blocks.
  for (std::size_t r = 0; r < 8; ++r) {
    Bytes row(blocks * 82);
    Bytes more(blocks * 66);
    for (std::size_t b = 0; b < blocks; ++b) {
      const auto take = [&](const Bytes& from, std::size_t at, std::size_t unit,
                            std::size_t count, std::byte* to) {
        for (std::size_t u = 0; u < count; ++u) {
          std::memcpy(to + u * unit, &from[at + (8 * u + r) * unit], unit);
        }
      };
      take(base, b * 656, 2, 1, &row[b * 82]);
      take(base, b * 656 + 16, 4, 20, &row[b * 82 + 2]);
      take(residual, b * 528, 2, 1, &more[b * 66]);
      take(residual, b * 528 + 16, 4, 16, &more[b * 66 + 2]);
    }
    ScalarTable().dequantize[Index(WeightType::kPlane2)](
        row.data(), columns, &fitted.low[r * columns]);
    DequantizePlanes(row.data(), more.data(), columns,
                     &fitted.full[r * columns]);
  }
  return fitted;
}

// Sum of squared differences over the sum of squares, in columns with
// i % 4 == phase, or in all.
double Loss(const std::vector<float>& x, const std::vector<float>& y,
            int phase = -1) {
  double lost = 0;
  double all = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (phase >= 0 && static_cast<int>(i % 4) != phase) continue;
    lost += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
    all += double{x[i]} * x[i];
  }
  return lost / all;
}

// A quantisation of normal weights loses 8.7 % as Q2_K, 0.73 % as Q4_0.
TEST(PlaneFitTest, BothLevelsAreClose) {
  const Fitted fitted = Fit(Normal(8 * 1024, 1, 0.02F));
  EXPECT_LT(Loss(fitted.x, fitted.low), 0.080);
  EXPECT_LT(Loss(fitted.x, fitted.full), 0.006);
}

TEST(PlaneFitTest, NeitherLevelIsShrunk) {
  const Fitted fitted = Fit(Normal(8 * 1024, 2, 3.0F));
  double xx = 0;
  double low = 0;
  double full = 0;
  for (std::size_t i = 0; i < fitted.x.size(); ++i) {
    xx += double{fitted.x[i]} * fitted.x[i];
    low += double{fitted.x[i]} * fitted.low[i];
    full += double{fitted.x[i]} * fitted.full[i];
  }
  EXPECT_NEAR(low / xx, 1.0, 0.002);
  EXPECT_NEAR(full / xx, 1.0, 0.002);
}

TEST(PlaneFitTest, ImportantColumnsAreCloser) {
  const std::vector<float> x = Normal(8 * 512, 3);
  std::vector<float> importance(512, 1.0F);
  for (std::size_t i = 0; i < 512; i += 4) importance[i] = 50.0F;
  const Fitted alike = Fit(x);
  const Fitted fitted = Fit(x, importance);
  EXPECT_LT(Loss(x, fitted.low, 0), 0.6 * Loss(x, alike.low, 0));
  EXPECT_LT(Loss(x, fitted.full, 0), 0.9 * Loss(x, alike.full, 0));
}

// Sub-blocks of very different sizes, all of one sign, far from zero.
TEST(PlaneFitTest, UnevenWeights) {
  std::vector<float> x = Normal(8 * 256, 4);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i / 16 % 3 == 0) x[i] *= 0.1F;
    if (i / 16 % 3 == 1) x[i] = std::abs(x[i]) + 0.2F;
  }
  const Fitted fitted = Fit(x);
  EXPECT_LT(Loss(fitted.x, fitted.low), 0.08);
  EXPECT_LT(Loss(fitted.x, fitted.full), 0.01);
}

TEST(PlaneFitTest, ZerosTinyAndHugeWeightsAreFinite) {
  EXPECT_EQ(Fit(std::vector<float>(8 * 256)).full,
            std::vector<float>(8 * 256, 0.0F));
  for (const float size : {1e-30F, 1e-7F, 1e5F, 1e15F}) {
    const Fitted fitted = Fit(Normal(8 * 256, 5, size));
    for (const float w : fitted.low) EXPECT_TRUE(std::isfinite(w)) << size;
    for (const float w : fitted.full) EXPECT_TRUE(std::isfinite(w)) << size;
  }
}

TEST(PlaneFitTest, WhatIsNoNumberStaysNone) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    std::vector<float> x = Normal(8 * 512, 6);
    x[300] = bad;
    const Fitted fitted = Fit(x);
    EXPECT_TRUE(std::isnan(fitted.low[300]));
    EXPECT_TRUE(std::isnan(fitted.full[300]));
    EXPECT_TRUE(std::isfinite(fitted.full[0]));  // another superblock
  }
}

}  // namespace
}  // namespace sluice::kernels
