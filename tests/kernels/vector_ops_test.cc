#include <algorithm>

#include "kernels/vec16_scalar.h"
#include "kernels/vector_ops_impl.h"
#include "tests/kernels/table_test_support.h"

namespace sluice::kernels {
namespace {

class VectorOpsTest : public TableTest {
 protected:
  // Runs `op`, which maps two vectors of n values to one, with this table and
  // the scalar one over all lengths and both kinds of input.
  template <class Op>
  void ExpectLikeScalar(Op op) {
    for (const std::size_t n : kLengths) {
      for (const bool extreme : {false, true}) {
        const auto x = extreme ? Extreme(n, 1) : Normal(n, 1, 3.0F);
        const auto y = extreme ? Extreme(n, 2) : Normal(n, 2);
        ExpectSameBits(
            op(ScalarTable(), x, y), op(table(), x, y),
            "n = " + std::to_string(n) + (extreme ? ", extreme" : ", normal"));
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(, VectorOpsTest, MachineTables(), TableName);

using Values = std::vector<float>;

double Exact(float x) { return x; }

TEST_P(VectorOpsTest, RmsNormIsScalars) {
  ExpectLikeScalar([](const KernelTable& t, const Values& x, const Values& w) {
    Values y(x.size());
    t.rms_norm(x.data(), w.data(), x.size(), 1e-6F, y.data());
    return y;
  });
}

TEST_P(VectorOpsTest, RmsNormIsNearReference) {
  const Values x = Normal(1000, 3);
  const Values w = Normal(1000, 4);
  Values y(1000);
  table().rms_norm(x.data(), w.data(), 1000, 1e-5F, y.data());
  double squares = 0.0;
  for (const float v : x) squares += Exact(v) * v;
  const double scale = 1.0 / std::sqrt(squares / 1000 + 1e-5);
  for (std::size_t i = 0; i < 1000; ++i) {
    ASSERT_NEAR(y[i], x[i] * scale * w[i], 1e-6 * std::abs(y[i]) + 1e-12) << i;
  }
}

TEST_P(VectorOpsTest, RopeIsScalars) {
  ExpectLikeScalar([](const KernelTable& t, const Values& x, const Values& y) {
    Values both = x;
    both.insert(both.end(), y.begin(), y.end());
    Values cos(x.size());
    Values sin(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      cos[i] = std::cos(0.1F * static_cast<float>(i));
      sin[i] = std::sin(0.1F * static_cast<float>(i));
    }
    t.rope_neox(both.data(), both.size(), cos.data(), sin.data());
    return both;
  });
}

TEST_P(VectorOpsTest, RopeRotatesPairsHalfApart) {
  Values x = {1.0F, 2.0F, 3.0F, 4.0F};
  const Values cos = {0.0F, 0.6F};
  const Values sin = {1.0F, 0.8F};
  table().rope_neox(x.data(), 4, cos.data(), sin.data());
  EXPECT_FLOAT_EQ(x[0], -3.0F);
  EXPECT_FLOAT_EQ(x[2], 1.0F);
  EXPECT_FLOAT_EQ(x[1], 0.6F * 2.0F - 0.8F * 4.0F);
  EXPECT_FLOAT_EQ(x[3], 0.6F * 4.0F + 0.8F * 2.0F);
}

TEST_P(VectorOpsTest, SoftmaxIsScalars) {
  ExpectLikeScalar([](const KernelTable& t, const Values& x, const Values&) {
    Values y = x;
    for (std::size_t i = 0; i + 1 < y.size(); i += 5) y[i] = -kInfinity;
    t.softmax(y.data(), y.size());
    return y;
  });
}

TEST_P(VectorOpsTest, SoftmaxIsNearReference) {
  for (const std::size_t n : {1U, 17U, 1000U}) {
    Values x = Normal(n, 5, 8.0F);
    for (std::size_t i = 1; i < n; i += 7) x[i] = -kInfinity;
    Values y = x;
    table().softmax(y.data(), n);
    const double max = *std::max_element(x.begin(), x.end());
    double sum = 0.0;
    for (const float v : x) sum += std::exp(v - max);
    for (std::size_t i = 0; i < n; ++i) {
      const double want = std::exp(x[i] - max) / sum;
      // x - max, up to 64, is rounded to a multiple of 2^-18 before e is taken.
      ASSERT_NEAR(y[i], want, 4e-6 * want + 1e-40) << i << " of " << n;
      if (x[i] == -kInfinity) {
        ASSERT_EQ(Bits(y[i]), 0U);
      }
    }
  }
}

TEST_P(VectorOpsTest, SwigluIsScalars) {
  ExpectLikeScalar([](const KernelTable& t, const Values& g, const Values& u) {
    Values y = g;
    t.swiglu(y.data(), u.data(), y.size(), y.data());
    return y;
  });
}

TEST_P(VectorOpsTest, SwigluIsNearReference) {
  const Values gate = Normal(1000, 6, 10.0F);
  const Values up = Normal(1000, 7);
  Values y(1000);
  table().swiglu(gate.data(), up.data(), 1000, y.data());
  for (std::size_t i = 0; i < 1000; ++i) {
    const double want =
        Exact(gate[i]) / (1.0 + std::exp(-Exact(gate[i]))) * up[i];
    ASSERT_NEAR(y[i], want, 4e-7 * std::abs(want)) << gate[i];
  }
}

TEST_P(VectorOpsTest, RegluIsScalars) {
  ExpectLikeScalar([](const KernelTable& t, const Values& g, const Values& u) {
    Values y = g;
    t.reglu(y.data(), u.data(), y.size(), y.data());
    return y;
  });
}

TEST_P(VectorOpsTest, RegluKeepsPositiveGatesAlone) {
  for (const std::size_t n : kLengths) {
    const Values gate = Normal(n, 6, 10.0F);
    const Values up = Normal(n, 7);
    Values y(n);
    table().reglu(gate.data(), up.data(), n, y.data());
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(y[i], gate[i] > 0 ? gate[i] * up[i] : 0.0F) << gate[i];
    }
  }
}

TEST_P(VectorOpsTest, AddAndAxpyRoundOnce) {
  for (const std::size_t n : kLengths) {
    const Values x = Extreme(n, 8);
    Values sum = Extreme(n, 9);
    Values scaled = sum;
    Values want_sum = sum;
    Values want_scaled = sum;
    for (std::size_t i = 0; i < n; ++i) {
      want_sum[i] = sum[i] + x[i];
      want_scaled[i] = std::fma(0.3F, x[i], sum[i]);
    }
    table().add(x.data(), n, sum.data());
    table().axpy(0.3F, x.data(), n, scaled.data());
    ExpectSameBits(want_sum, sum, "add");
    ExpectSameBits(want_scaled, scaled, "axpy");
  }
}

TEST_P(VectorOpsTest, NothingBeyondTheEndIsWritten) {
  for (const std::size_t n : kLengths) {
    const Values x = Normal(n + 40, 10);
    Values y = x;
    std::vector<std::uint16_t> half(n + 40, 0x1234);
    table().rms_norm(y.data(), x.data(), n, 1e-6F, y.data());
    table().softmax(y.data(), n);
    table().swiglu(y.data(), x.data(), n, y.data());
    table().reglu(y.data(), x.data(), n, y.data());
    table().add(x.data(), n, y.data());
    table().axpy(2.0F, x.data(), n, y.data());
    table().rope_neox(y.data(), n / 2 * 2, x.data(), x.data());
    table().to_f16(x.data(), n, half.data());
    for (std::size_t i = n; i < n + 40; ++i) {
      ASSERT_EQ(Bits(y[i]), Bits(x[i])) << n;
      ASSERT_EQ(half[i], 0x1234) << n;
    }
  }
}

// All of f16 through both conversions.
TEST_P(VectorOpsTest, EveryF16RoundTrips) {
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    halves[i] = static_cast<std::uint16_t>(i);
  }
  const auto bytes = std::as_bytes(std::span(halves));
  const auto type = static_cast<std::size_t>(WeightType::kF16);
  Values floats(65536);
  Values scalar(65536);
  table().dequantize[type](bytes.data(), 65536, floats.data());
  ScalarTable().dequantize[type](bytes.data(), 65536, scalar.data());
  std::vector<std::uint16_t> back(65536);
  table().to_f16(floats.data(), 65536, back.data());
  for (std::size_t i = 0; i < 65536; ++i) {
    ASSERT_EQ(Bits(floats[i]), Bits(scalar[i])) << i;  // NaN payloads too
    const double want = ReferenceF16(halves[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(floats[i])) << i;
      ASSERT_EQ(back[i], halves[i] | 0x200) << i;  // quiet
    } else {
      ASSERT_EQ(Bits(floats[i]), Bits(static_cast<float>(want))) << i;
      ASSERT_EQ(back[i], halves[i]) << i;
    }
  }
}

// Between each two neighbours of f16: the middle goes to the even one, the
// floats beside it to the nearer one.
TEST_P(VectorOpsTest, ToF16RoundsToNearestEven) {
  for (std::uint16_t low = 0; low < 0x7C00; ++low) {
    const double above =
        low == 0x7BFF ? 65536.0
                      : ReferenceF16(static_cast<std::uint16_t>(low + 1));
    const auto middle = static_cast<float>((ReferenceF16(low) + above) / 2);
    const float x[6] = {middle,
                        std::nextafter(middle, 0.0F),
                        std::nextafter(middle, kInfinity),
                        -middle,
                        -std::nextafter(middle, 0.0F),
                        -std::nextafter(middle, kInfinity)};
    std::uint16_t y[6];
    table().to_f16(x, 6, y);
    const int even = low + (low & 1);
    ASSERT_EQ(y[0], even) << low;
    ASSERT_EQ(y[1], low) << low;
    ASSERT_EQ(y[2], low + 1) << low;
    ASSERT_EQ(y[3], 0x8000 | even) << low;
    ASSERT_EQ(y[4], 0x8000 | low) << low;
    ASSERT_EQ(y[5], 0x8000 | (low + 1)) << low;
  }
}

TEST_P(VectorOpsTest, ToF16OfAnyFloatIsScalars) {
  std::mt19937 random(11);
  Values x(20000);
  for (float& value : x) {
    value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  }
  std::vector<std::uint16_t> want(x.size());
  std::vector<std::uint16_t> got(x.size());
  ScalarTable().to_f16(x.data(), x.size(), want.data());
  table().to_f16(x.data(), x.size(), got.data());
  EXPECT_EQ(want, got);
}

// Distance of y from the exact value in units of the exact value's last place,
// which is that of the least subnormal at the bottom of the range.
double Ulps(float y, double exact) {
  const int exponent = std::max(std::ilogb(exact), -126);
  return std::abs(Exact(y) - exact) / std::ldexp(1.0, exponent - 23);
}

TEST(ExpTest, IsWithinOneUlp) {
  double worst = 0.0;
  for (std::uint32_t bits = 0x3000'0000; bits < 0x42CF'0000; bits += 4093) {
    for (const std::uint32_t sign : {0U, 0x8000'0000U}) {
      const float x = std::bit_cast<float>(bits | sign);
      const double exact = std::exp(Exact(x));
      if (exact > Exact(std::numeric_limits<float>::max())) continue;
      worst = std::max(worst, Ulps(Exp(ScalarVec16::Splat(x)).lane[3], exact));
    }
  }
  EXPECT_LT(worst, 1.0);
}

TEST(ExpTest, EndsOfTheRange) {
  const auto exp = [](float x) { return Exp(ScalarVec16::Splat(x)).lane[0]; };
  EXPECT_EQ(Bits(exp(-kInfinity)), 0U);
  EXPECT_EQ(Bits(exp(-1e30F)), 0U);
  EXPECT_EQ(Bits(exp(-104.0F)), 0U);
  EXPECT_EQ(Bits(exp(-103.9F)), 1U);
  EXPECT_EQ(exp(0.0F), 1.0F);
  EXPECT_EQ(exp(-0.0F), 1.0F);
  EXPECT_LT(exp(88.72F), kInfinity);
  EXPECT_EQ(exp(88.73F), kInfinity);
  EXPECT_EQ(exp(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(exp(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace sluice::kernels
