// The rows8 layout: there and back without loss, and products equal to those of
// the same weights in rows, bit for bit, with every instruction set.
#include "kernels/rows8.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/kernels/quant_testing.h"

namespace sluice::kernels {
namespace {

constexpr float kUntouched = 12345.0F;

class Rows8Test : public testing::TestWithParam<QuantType> {
 protected:
  std::mt19937 rng_{5};
};

std::vector<std::byte> RandomBytes(std::size_t n, std::mt19937& rng) {
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = std::byte(rng() & 255);
  return bytes;
}

TEST_P(Rows8Test, ThereAndBackIsTheSameBytes) {
  const QuantType& type = GetParam();
  ASSERT_TRUE(HasRows8(type.type));
  for (const std::size_t rows : {8, 16, 40}) {
    for (const std::size_t blocks : {1, 2, 5}) {
      const std::size_t row_bytes = blocks * type.bytes;
      const std::size_t columns = blocks * type.block;
      const auto weights = RandomBytes(rows * row_bytes, rng_);
      std::vector<std::byte> interleaved(weights.size());
      std::vector<std::byte> back(weights.size());
      InterleaveRows8(type.type, weights.data(), row_bytes, rows, columns,
                      interleaved.data());
      DeinterleaveRows8(type.type, interleaved.data(), row_bytes, rows, columns,
                        back.data());
      EXPECT_NE(weights, interleaved);
      EXPECT_EQ(weights, back);
    }
  }
}

TEST_P(Rows8Test, EveryBitHasAPlaceOfItsOwn) {
  const QuantType& type = GetParam();
  std::vector<std::byte> group(8 * type.bytes);
  std::vector<bool> taken(8 * group.size());
  for (std::size_t bit = 0; bit < taken.size(); ++bit) {
    std::vector<std::byte> blocks(group.size());
    blocks[bit / 8] = std::byte(1U << bit % 8);
    InterleaveRows8(type.type, blocks.data(), type.bytes, 8, type.block,
                    group.data());
    std::size_t count = 0;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if ((group[i / 8] >> i % 8 & std::byte{1}) == std::byte{0}) continue;
      EXPECT_FALSE(taken[i]) << "bit " << bit;
      taken[i] = true;
      ++count;
    }
    ASSERT_EQ(count, 1U) << "bit " << bit;
  }
}

// Rows may be apart; what lies between them is neither read nor written.
TEST_P(Rows8Test, PaddedRows) {
  const QuantType& type = GetParam();
  const std::size_t tight = 3 * type.bytes;
  const std::size_t padded = tight + 5;
  const auto weights = RandomBytes(16 * tight, rng_);
  std::vector<std::byte> apart(16 * padded, std::byte{7});
  for (std::size_t r = 0; r < 16; ++r) {
    std::memcpy(&apart[r * padded], &weights[r * tight], tight);
  }
  std::vector<std::byte> expected(weights.size());
  std::vector<std::byte> got(weights.size());
  InterleaveRows8(type.type, weights.data(), tight, 16, 3 * type.block,
                  expected.data());
  InterleaveRows8(type.type, apart.data(), padded, 16, 3 * type.block,
                  got.data());
  EXPECT_EQ(expected, got);
  std::vector<std::byte> back(apart.size(), std::byte{7});
  DeinterleaveRows8(type.type, got.data(), padded, 16, 3 * type.block,
                    back.data());
  EXPECT_EQ(apart, back);
}

struct Problem {
  const QuantType& type;
  std::size_t rows;
  std::size_t blocks;
  std::size_t tokens;
};

// A problem with its weights in both layouts. The interleaved ones are an
// allocation of their exact size, so that address checking sees reads beyond.
class Case {
 public:
  Case(const KernelTable& scalar, const Problem& problem, Pattern pattern,
       Inputs inputs, std::mt19937& rng)
      : problem_(problem),
        weights_(MakeWeights(problem.type, problem.rows * problem.blocks,
                             pattern, rng)),
        interleaved_(weights_.size()),
        records_(scalar, FormatFor(problem.type.type), Columns(),
                 problem.tokens) {
    InterleaveRows8(problem.type.type, weights_.data(), RowBytes(),
                    problem.rows, Columns(), interleaved_.data());
    for (std::size_t t = 0; t < problem.tokens; ++t) {
      records_.Set(t, MakeInputs(Columns(), inputs, rng));
    }
  }

  struct Range {
    std::size_t row_begin;
    std::size_t row_end;
    std::size_t token;
    std::size_t tokens;
  };
  Range All() const { return {0, problem_.rows, 0, problem_.tokens}; }
  std::size_t Stride() const { return problem_.rows + 3; }
  std::vector<float> Outputs() const {
    return std::vector<float>(problem_.tokens * Stride(), kUntouched);
  }

  std::vector<float> InRows(const KernelTable& table) {
    std::vector<float> y = Outputs();
    MatmulArgs args = Args(All(), y);
    args.weights = weights_.data();
    table.matmul[Index(problem_.type.type)](args);
    return y;
  }
  void Run(const KernelTable& table, const Range& range, std::vector<float>& y,
           bool followed = true) {
    MatmulArgs args = Args(range, y);
    args.weights = interleaved_.data();
    if (followed) args.next = interleaved_.data();
    table.matmul_rows8[Index(problem_.type.type)](args);
  }

 private:
  MatmulArgs Args(const Range& range, std::vector<float>& y) {
    return {.row_bytes = RowBytes(),
            .columns = Columns(),
            .row_begin = range.row_begin,
            .row_end = range.row_end,
            .activations = records_.at(range.token),
            .activation_stride = records_.stride(),
            .tokens = range.tokens,
            .y = y.data() + range.token * Stride(),
            .y_stride = Stride()};
  }
  std::size_t RowBytes() const { return problem_.blocks * problem_.type.bytes; }
  std::size_t Columns() const { return problem_.blocks * problem_.type.block; }

  Problem problem_;
  std::vector<std::byte> weights_;
  std::vector<std::byte> interleaved_;
  Records records_;
};

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

class Rows8MatmulTest : public testing::TestWithParam<QuantType> {
 protected:
  Rows8MatmulTest() : tables_(QuantTables()) {}
  const KernelTable& scalar() const { return tables_[0]; }

  void Compare(const Problem& problem, Pattern pattern, Inputs inputs) {
    Case c(scalar(), problem, pattern, inputs, rng_);
    const std::vector<float> expected = c.InRows(scalar());
    for (const KernelTable& table : tables_) {
      std::vector<float> y = c.Outputs();
      c.Run(table, c.All(), y);
      ExpectSame(expected, y,
                 std::string(table.name) + " rows " +
                     std::to_string(problem.rows) + " blocks " +
                     std::to_string(problem.blocks) + " tokens " +
                     std::to_string(problem.tokens));
    }
  }

  std::vector<KernelTable> tables_;
  std::mt19937 rng_{9};
};

TEST_P(Rows8MatmulTest, EveryNumberOfTokensAndGroups) {
  for (std::size_t rows = 8; rows <= 40; rows += 8) {
    for (std::size_t tokens = 1; tokens <= 18; ++tokens) {
      Compare({GetParam(), rows, 3, tokens}, Pattern::kRandom, Inputs::kNormal);
    }
    Compare({GetParam(), rows, 2, 33}, Pattern::kRandom, Inputs::kNormal);
  }
}

TEST_P(Rows8MatmulTest, EveryNumberOfBlocks) {
  for (std::size_t blocks = 1; blocks <= 9; ++blocks) {
    Compare({GetParam(), 24, blocks, 5}, Pattern::kRandom, Inputs::kNormal);
  }
}

// More than a cache holds of them, so that rows are gone through twice.
TEST_P(Rows8MatmulTest, ManyLongActivations) {
  constexpr std::size_t kColumns = 8192;
  constexpr std::size_t kTokens = 45;
  Compare({GetParam(), 24, kColumns / GetParam().block, kTokens},
          Pattern::kRandom, Inputs::kNormal);
}

TEST_P(Rows8MatmulTest, ExtremeWeightsAndActivationsDoNotSaturate) {
  for (const Pattern pattern : kPatterns) {
    for (const Inputs inputs : kInputs) {
      Compare({GetParam(), 16, 3, 1}, pattern, inputs);
      Compare({GetParam(), 24, 2, 33}, pattern, inputs);
    }
  }
}

TEST_P(Rows8MatmulTest, SplitsOfRowsAndTokensChangeNothing) {
  const Problem problem{GetParam(), 48, 2, 11};
  Case c(scalar(), problem, Pattern::kRandom, Inputs::kNormal, rng_);
  const std::vector<float> expected = c.InRows(scalar());
  for (const KernelTable& table : tables_) {
    for (const std::size_t row : {8, 16, 24, 40}) {
      for (const std::size_t token : {1, 4, 6, 10}) {
        std::vector<float> y = c.Outputs();
        c.Run(table, {0, row, 0, token}, y);
        c.Run(table, {row, 48, 0, token}, y);
        c.Run(table, {0, row, token, 11 - token}, y);
        c.Run(table, {row, 48, token, 11 - token}, y);
        ExpectSame(expected, y, std::string(table.name));
      }
    }
  }
}

// Rows of several pages.
TEST_P(Rows8MatmulTest, WhatIsAskedForAheadChangesNothing) {
  constexpr std::size_t kColumns = 8192;
  const std::size_t blocks = kColumns / GetParam().block;
  for (const std::size_t tokens : {1, 2, 5}) {
    Case c(scalar(), {GetParam(), 40, blocks, tokens}, Pattern::kRandom,
           Inputs::kNormal, rng_);
    const std::vector<float> expected = c.InRows(scalar());
    for (const KernelTable& table : tables_) {
      for (const bool followed : {false, true}) {
        std::vector<float> y = c.Outputs();
        c.Run(table, c.All(), y, followed);
        ExpectSame(expected, y, std::string(table.name));
      }
    }
  }
}

TEST_P(Rows8MatmulTest, WritesOnlyItsRows) {
  const Problem problem{GetParam(), 40, 1, 3};
  Case c(scalar(), problem, Pattern::kRandom, Inputs::kNormal, rng_);
  for (const KernelTable& table : tables_) {
    std::vector<float> y = c.Outputs();
    c.Run(table, {8, 32, 1, 1}, y);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool ours = i >= c.Stride() + 8 && i < c.Stride() + 32;
      EXPECT_EQ(y[i] != kUntouched, ours) << table.name << " output " << i;
    }
    c.Run(table, {8, 8, 0, 3}, y);   // no rows
    c.Run(table, {8, 16, 2, 0}, y);  // no tokens
    EXPECT_EQ(y[8], kUntouched);
    EXPECT_EQ(y[2 * c.Stride() + 8], kUntouched);
  }
}

std::string TypeName(const testing::TestParamInfo<QuantType>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Rows8Test, testing::ValuesIn(kQuantTypes),
                         TypeName);
INSTANTIATE_TEST_SUITE_P(AllTypes, Rows8MatmulTest,
                         testing::ValuesIn(kQuantTypes), TypeName);

TEST(Rows8TypesTest, PlainFloatsAndUnknownTypesHaveNone) {
  for (const WeightType type :
       {WeightType::kF32, WeightType::kF16, WeightType::kBF16,
        static_cast<WeightType>(4), static_cast<WeightType>(1000)}) {
    EXPECT_FALSE(HasRows8(type));
  }
  for (const KernelTable& table : QuantTables()) {
    for (std::size_t i = 0; i < kWeightTypeLimit; ++i) {
      EXPECT_EQ(table.matmul_rows8[i] != nullptr,
                HasRows8(static_cast<WeightType>(i)))
          << table.name << " " << i;
    }
  }
}

}  // namespace
}  // namespace sluice::kernels
