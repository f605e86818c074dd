#include <cstddef>

#include "tests/kernels/table_test_support.h"

namespace sluice::kernels {
namespace {

constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kF16,
                                 WeightType::kBF16};

// A product with random weights of one type; rows are a few bytes longer than
// their weights, and so are the activations of a token.
class Product {
 public:
  Product(WeightType type, std::size_t rows, std::size_t columns,
          std::size_t tokens)
      : type_(type), rows_(rows), columns_(columns), tokens_(tokens) {
    const std::size_t size = type == WeightType::kF32 ? 4 : 2;
    row_bytes_ = columns * size + 8;
    weights_.resize(rows * row_bytes_);
    for (std::size_t r = 0; r < rows; ++r) {
      const auto row = Normal(columns, static_cast<std::uint32_t>(r));
      for (std::size_t c = 0; c < columns; ++c) {
        WriteWeight(row[c], weights_.data() + r * row_bytes_ + c * size);
      }
    }
    x_ = Normal(tokens * Stride(), 99);
  }

  // Rows [row_begin, row_end) of tokens [token, token + count) into y.
  void Run(const KernelTable& table, std::size_t row_begin, std::size_t row_end,
           std::size_t token, std::size_t count, std::vector<float>& y) const {
    MatmulArgs args;
    args.weights = weights_.data();
    args.row_bytes = row_bytes_;
    args.columns = columns_;
    args.row_begin = row_begin;
    args.row_end = row_end;
    args.activations =
        std::as_bytes(std::span(x_)).data() + token * Stride() * sizeof(float);
    args.activation_stride = Stride() * sizeof(float);
    args.tokens = count;
    args.y = y.data() + token * YStride();
    args.y_stride = YStride();
    table.matmul[static_cast<std::size_t>(type_)](args);
  }
  std::vector<float> RunAll(const KernelTable& table) const {
    std::vector<float> y = Empty();
    Run(table, 0, rows_, 0, tokens_, y);
    return y;
  }
  // An output that nothing has been written to: every value is a NaN.
  std::vector<float> Empty() const {
    return std::vector<float>(tokens_ * YStride(),
                              std::numeric_limits<float>::quiet_NaN());
  }

  // The exact product in double, and the sum of its terms' sizes.
  void Reference(std::size_t row, std::size_t token, double* sum,
                 double* size) const {
    std::vector<float> w(columns_);
    ScalarTable().dequantize[static_cast<std::size_t>(type_)](
        weights_.data() + row * row_bytes_, columns_, w.data());
    *sum = 0.0;
    *size = 0.0;
    for (std::size_t c = 0; c < columns_; ++c) {
      const double term = double{w[c]} * x_[token * Stride() + c];
      *sum += term;
      *size += std::abs(term);
    }
  }
  std::size_t YStride() const { return rows_ + 3; }

 private:
  std::size_t Stride() const { return columns_ + 5; }
  void WriteWeight(float value, std::byte* to) const {
    std::uint16_t half = 0;
    switch (type_) {
      case WeightType::kF32:
        std::memcpy(to, &value, sizeof(value));
        return;
      case WeightType::kF16:
        ScalarTable().to_f16(&value, 1, &half);
        break;
      default:
        half = static_cast<std::uint16_t>(Bits(value) >> 16);
        break;
    }
    std::memcpy(to, &half, sizeof(half));
  }

  WeightType type_;
  std::size_t rows_;
  std::size_t columns_;
  std::size_t tokens_;
  std::size_t row_bytes_ = 0;
  std::vector<std::byte> weights_;
  std::vector<float> x_;
};

class FloatMatmulTest : public TableTest {};
INSTANTIATE_TEST_SUITE_P(, FloatMatmulTest, MachineTables(), TableName);

TEST_P(FloatMatmulTest, IsScalars) {
  for (const WeightType type : kTypes) {
    for (const std::size_t columns : kLengths) {
      for (const std::size_t tokens : {1U, 2U, 3U, 7U, 35U}) {
        const Product product(type, 19, columns, tokens);
        ExpectSameBits(product.RunAll(ScalarTable()), product.RunAll(table()),
                       std::to_string(columns) + " columns, " +
                           std::to_string(tokens) + " tokens");
      }
    }
  }
}

TEST_P(FloatMatmulTest, IsNearReference) {
  for (const WeightType type : kTypes) {
    const Product product(type, 5, 1000, 3);
    const std::vector<float> y = product.RunAll(table());
    for (std::size_t t = 0; t < 3; ++t) {
      for (std::size_t r = 0; r < 5; ++r) {
        double want = 0.0;
        double size = 0.0;
        product.Reference(r, t, &want, &size);
        // 63 sums a lane and 4 of the tree, each half an ulp at most.
        EXPECT_NEAR(y[t * product.YStride() + r], want, 67 * size * 0x1p-24);
      }
    }
  }
}

TEST_P(FloatMatmulTest, DoesNotDependOnTheSplit) {
  for (const WeightType type : kTypes) {
    const Product product(type, 37, 100, 9);
    const std::vector<float> want = product.RunAll(table());
    for (const std::size_t rows : {1U, 3U, 8U, 16U, 17U}) {
      for (const std::size_t tokens : {1U, 2U, 5U}) {
        std::vector<float> y = product.Empty();
        for (std::size_t r = 0; r < 37; r += rows) {
          for (std::size_t t = 0; t < 9; t += tokens) {
            product.Run(table(), r, std::min<std::size_t>(r + rows, 37), t,
                        std::min<std::size_t>(tokens, 9 - t), y);
          }
        }
        ExpectSameBits(want, y, std::to_string(rows) + " rows");
      }
    }
  }
}

TEST_P(FloatMatmulTest, WritesOnlyItsRowsAndTokens) {
  const Product product(WeightType::kF16, 20, 33, 4);
  std::vector<float> y = product.Empty();
  product.Run(table(), 5, 5, 0, 4, y);
  for (const float value : y) ASSERT_TRUE(std::isnan(value));
  product.Run(table(), 3, 9, 1, 2, y);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t token = i / product.YStride();
    const std::size_t row = i % product.YStride();
    const bool written = token >= 1 && token < 3 && row >= 3 && row < 9;
    ASSERT_EQ(!std::isnan(y[i]), written) << token << ", " << row;
  }
}

TEST_P(FloatMatmulTest, DequantizeIsExact) {
  for (const std::size_t n : kLengths) {
    const std::vector<float> x = Extreme(n, 12);
    const auto bytes = std::as_bytes(std::span(x));
    std::vector<float> same(n);
    table().dequantize[static_cast<std::size_t>(WeightType::kF32)](
        bytes.data(), n, same.data());
    ExpectSameBits(x, same, "F32");
    // The same bytes as twice as many BF16 values.
    std::vector<float> wide(2 * n);
    table().dequantize[static_cast<std::size_t>(WeightType::kBF16)](
        bytes.data(), 2 * n, wide.data());
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(Bits(wide[2 * i]), Bits(x[i]) << 16);
      ASSERT_EQ(Bits(wide[2 * i + 1]), Bits(x[i]) & 0xFFFF'0000U);
    }
  }
}

TEST_P(FloatMatmulTest, QuantizeToF32Copies) {
  const std::vector<float> x = Extreme(100, 13);
  std::vector<float> y(100);
  table().quantize[static_cast<std::size_t>(ActivationFormat::kF32)](
      x.data(), 100, std::as_writable_bytes(std::span(y)).data());
  ExpectSameBits(x, y, "copy");
}

}  // namespace
}  // namespace sluice::kernels
