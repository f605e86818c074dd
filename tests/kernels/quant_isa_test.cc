// Every instruction set against the scalar products, bit for bit, over random
// and saturating blocks, odd sizes, and splits of rows and tokens.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/kernels/quant_testing.h"

namespace sluice::kernels {
namespace {

constexpr float kUntouched = 12345.0F;

// Equal bits, or both NaN.
void ExpectSame(const std::vector<float>& a, const std::vector<float>& b,
                const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(a[i]),
              std::bit_cast<std::uint32_t>(b[i]))
        << what << ", output " << i << ": " << a[i] << " and " << b[i];
  }
}

struct Problem {
  const QuantType& type;
  std::size_t rows;
  std::size_t columns;
  std::size_t tokens;
};

// Weights and activations of a problem, the weights at the very end of their
// allocation so that address checking sees any read past the last row.
class Case {
 public:
  Case(const KernelTable& scalar, const Problem& problem, Pattern pattern,
       Inputs inputs, std::mt19937& rng)
      : problem_(problem),
        weights_(
            MakeWeights(problem.type, problem.rows * Blocks(), pattern, rng)),
        records_(scalar, FormatFor(problem.type.type), problem.columns,
                 problem.tokens) {
    for (std::size_t t = 0; t < problem.tokens; ++t) {
      records_.Set(t, MakeInputs(problem.columns, inputs, rng));
    }
  }

  // Sets all bytes but the float scales.
  void FillIntegers(std::byte value) {
    const QuantType& type = problem_.type;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const std::size_t at = i % type.bytes;
      const std::size_t scale_bytes = type.halves == 0 ? 1 : 2 * type.halves;
      if (at - type.half_offset >= scale_bytes) weights_[i] = value;
    }
  }

  struct Range {
    std::size_t row_begin;
    std::size_t row_end;
    std::size_t token;
    std::size_t tokens;
  };
  Range All() const { return {0, problem_.rows, 0, problem_.tokens}; }

  std::vector<float> Outputs() const {
    return std::vector<float>(problem_.tokens * Stride(), kUntouched);
  }
  void Run(const KernelTable& table, const Range& range,
           std::vector<float>& y) {
    const QuantType& type = problem_.type;
    table.matmul[Index(type.type)]({.weights = weights_.data(),
                                    .row_bytes = Blocks() * type.bytes,
                                    .columns = problem_.columns,
                                    .row_begin = range.row_begin,
                                    .row_end = range.row_end,
                                    .activations = records_.at(range.token),
                                    .activation_stride = records_.stride(),
                                    .tokens = range.tokens,
                                    .y = y.data() + range.token * Stride(),
                                    .y_stride = Stride()});
  }

 private:
  std::size_t Blocks() const { return problem_.columns / problem_.type.block; }
  std::size_t Stride() const { return problem_.rows + 3; }

  Problem problem_;
  std::vector<std::byte> weights_;
  Records records_;
};

class QuantIsaTest : public testing::TestWithParam<QuantType> {
 protected:
  QuantIsaTest() : tables_(QuantTables()) {}
  const KernelTable& scalar() const { return tables_[0]; }

  void Compare(const Problem& problem, Pattern pattern, Inputs inputs) {
    Case c(scalar(), problem, pattern, inputs, rng_);
    std::vector<float> expected = c.Outputs();
    c.Run(scalar(), c.All(), expected);
    for (const KernelTable& table : tables_) {
      std::vector<float> y = c.Outputs();
      c.Run(table, c.All(), y);
      ExpectSame(expected, y,
                 std::string(table.name) + " rows " +
                     std::to_string(problem.rows) + " columns " +
                     std::to_string(problem.columns) + " tokens " +
                     std::to_string(problem.tokens));
    }
  }

  std::vector<KernelTable> tables_;
  std::mt19937 rng_{7};
};

TEST_P(QuantIsaTest, EveryNumberOfRowsAndTokens) {
  const QuantType& type = GetParam();
  for (std::size_t rows = 1; rows <= 17; ++rows) {
    for (std::size_t tokens = 1; tokens <= 9; ++tokens) {
      Compare({type, rows, 3 * type.block, tokens}, Pattern::kRandom,
              Inputs::kNormal);
    }
  }
  for (const std::size_t rows : {31, 33, 48}) {
    Compare({type, rows, 2 * type.block, 31}, Pattern::kRandom,
            Inputs::kNormal);
  }
}

TEST_P(QuantIsaTest, EveryNumberOfBlocks) {
  const QuantType& type = GetParam();
  for (std::size_t blocks = 1; blocks <= 9; ++blocks) {
    Compare({type, 18, blocks * type.block, 5}, Pattern::kRandom,
            Inputs::kNormal);
  }
}

TEST_P(QuantIsaTest, ExtremeWeightsAndActivationsDoNotSaturate) {
  const QuantType& type = GetParam();
  for (const Pattern pattern : kPatterns) {
    for (const Inputs inputs : kInputs) {
      Compare({type, 17, 3 * type.block, 3}, pattern, inputs);
      Compare({type, 32, 2 * type.block, 9}, pattern, inputs);
    }
  }
}

TEST_P(QuantIsaTest, EveryByteValue) {
  const QuantType& type = GetParam();
  for (int value = 0; value < 256; ++value) {
    Problem problem{type, 16, type.block, 1};
    Case c(scalar(), problem, Pattern::kRandom, Inputs::kNormal, rng_);
    c.FillIntegers(std::byte(value));
    std::vector<float> expected = c.Outputs();
    c.Run(scalar(), c.All(), expected);
    for (const KernelTable& table : tables_) {
      std::vector<float> y = c.Outputs();
      c.Run(table, c.All(), y);
      ExpectSame(expected, y, std::string(table.name));
    }
  }
}

TEST_P(QuantIsaTest, SplitsOfRowsAndTokensChangeNothing) {
  const QuantType& type = GetParam();
  const Problem problem{type, 37, 2 * type.block, 11};
  Case c(scalar(), problem, Pattern::kRandom, Inputs::kNormal, rng_);
  std::vector<float> expected = c.Outputs();
  c.Run(scalar(), c.All(), expected);
  for (const KernelTable& table : tables_) {
    for (const std::size_t row : {1, 7, 8, 16, 21, 36}) {
      for (const std::size_t token : {1, 4, 6, 10}) {
        std::vector<float> y = c.Outputs();
        c.Run(table, {0, row, 0, token}, y);
        c.Run(table, {row, 37, 0, token}, y);
        c.Run(table, {0, row, token, 11 - token}, y);
        c.Run(table, {row, 37, token, 11 - token}, y);
        ExpectSame(expected, y, std::string(table.name));
      }
    }
  }
}

TEST_P(QuantIsaTest, WritesOnlyItsRows) {
  const QuantType& type = GetParam();
  const Problem problem{type, 40, type.block, 3};
  Case c(scalar(), problem, Pattern::kRandom, Inputs::kNormal, rng_);
  for (const KernelTable& table : tables_) {
    std::vector<float> y = c.Outputs();
    c.Run(table, {5, 24, 1, 1}, y);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool ours = i >= 43 + 5 && i < 43 + 24;
      EXPECT_EQ(y[i] != kUntouched, ours) << table.name << " output " << i;
    }
    c.Run(table, {9, 9, 0, 3}, y);   // no rows
    c.Run(table, {9, 12, 2, 0}, y);  // no tokens
    EXPECT_EQ(y[9], kUntouched);
  }
}

std::string TypeName(const testing::TestParamInfo<QuantType>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(AllTypes, QuantIsaTest, testing::ValuesIn(kQuantTypes),
                         TypeName);

TEST(QuantizeIsaTest, RecordsAreTheSameBytes) {
  std::mt19937 rng(11);
  const std::vector<KernelTable> tables = QuantTables();
  for (const auto format :
       {ActivationFormat::kQ8x32, ActivationFormat::kQ8x256}) {
    for (std::size_t columns = 256; columns <= 2304; columns += 256) {
      for (const Inputs inputs : kInputs) {
        std::vector<float> x = MakeInputs(columns, inputs, rng);
        // Ties between two integers, tiny blocks, and what is not finite.
        for (std::size_t i = 0; i < 128; ++i) {
          x[i] = static_cast<float>(i) * 0.5F - 0.5F;
        }
        x[127] = 127.0F;
        if (columns > 1024) x[600] = HUGE_VALF;
        if (columns > 1280) x[900] = NAN;
        for (std::size_t i = 1024; i < columns; ++i) x[i] *= 0x1p-120F;
        Records expected(tables[0], format, columns, 1);
        expected.Set(0, x);
        for (const KernelTable& table : tables) {
          Records records(table, format, columns, 1);
          records.Set(0, x);
          EXPECT_EQ(std::memcmp(expected.at(0), records.at(0),
                                ActivationBytes(format, columns)),
                    0)
              << table.name << " " << columns;
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice::kernels
