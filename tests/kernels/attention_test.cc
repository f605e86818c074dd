#include <algorithm>
#include <cstddef>

#include "tests/kernels/table_test_support.h"

namespace sluice::kernels {
namespace {

struct Shape {
  std::size_t group;
  std::size_t head_dim;
  std::size_t length;
};
std::string Name(const Shape& s) {
  return "group " + std::to_string(s.group) + ", head_dim " +
         std::to_string(s.head_dim) + ", length " + std::to_string(s.length);
}

// Random inputs of one attention, and its calls.
class Problem {
 public:
  explicit Problem(const Shape& shape, float deviation = 2.0F)
      : shape_(shape),
        stride_(shape.head_dim + 16),
        q_(Normal(shape.group * shape.head_dim, 1, deviation)),
        k_(Halves(shape.length * stride_, 2, deviation)),
        v_(Halves(shape.length * stride_, 3, 1.0F)) {}

  // Heads [first, first + heads).
  void Run(const KernelTable& table, std::size_t first, std::size_t heads,
           float* out) const {
    AttentionArgs args;
    args.q = q_.data() + first * shape_.head_dim;
    args.group = heads;
    args.head_dim = shape_.head_dim;
    args.k = k_.data();
    args.v = v_.data();
    args.kv_stride = stride_;
    args.length = shape_.length;
    args.scale = Scale();
    args.out = out + first * shape_.head_dim;
    table.attention(args);
  }
  std::vector<float> RunAll(const KernelTable& table) const {
    std::vector<float> out(q_.size());
    Run(table, 0, shape_.group, out.data());
    return out;
  }
  std::vector<double> Reference() const {
    std::vector<double> out(q_.size());
    for (std::size_t h = 0; h < shape_.group; ++h) {
      std::vector<double> weight(shape_.length);
      for (std::size_t p = 0; p < shape_.length; ++p) {
        for (std::size_t d = 0; d < shape_.head_dim; ++d) {
          weight[p] += double{q_[h * shape_.head_dim + d]} *
                       ReferenceF16(k_[p * stride_ + d]) * Scale();
        }
      }
      const double max = *std::max_element(weight.begin(), weight.end());
      double sum = 0.0;
      for (double& w : weight) sum += w = std::exp(w - max);
      for (std::size_t p = 0; p < shape_.length; ++p) {
        for (std::size_t d = 0; d < shape_.head_dim; ++d) {
          out[h * shape_.head_dim + d] +=
              weight[p] / sum * ReferenceF16(v_[p * stride_ + d]);
        }
      }
    }
    return out;
  }
  std::vector<std::uint16_t>& k() { return k_; }

 private:
  float Scale() const {
    return 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
  }
  static std::vector<std::uint16_t> Halves(std::size_t n, std::uint32_t seed,
                                           float deviation) {
    const std::vector<float> x = Normal(n, seed, deviation);
    std::vector<std::uint16_t> y(n);
    ScalarTable().to_f16(x.data(), n, y.data());
    return y;
  }

  Shape shape_;
  std::size_t stride_;
  std::vector<float> q_;
  std::vector<std::uint16_t> k_;
  std::vector<std::uint16_t> v_;
};

class AttentionTest : public TableTest {};
INSTANTIATE_TEST_SUITE_P(, AttentionTest, MachineTables(), TableName);

// Every length of a block, every group of a slice and beyond, and all sorts of
// head dimensions, one at a time from a common shape.
std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  for (std::size_t length = 1; length <= 2 * kAttentionBlock + 1; ++length) {
    shapes.push_back({.group = 5, .head_dim = 48, .length = length});
  }
  for (std::size_t group = 1; group <= 19; ++group) {
    shapes.push_back({.group = group, .head_dim = 80, .length = 70});
  }
  for (const std::size_t dim :
       {16U, 32U, 64U, 96U, 112U, 128U, 192U, 256U, 320U, 512U}) {
    shapes.push_back({.group = 1, .head_dim = dim, .length = 100});
    shapes.push_back({.group = 7, .head_dim = dim, .length = 100});
  }
  shapes.push_back({.group = 4, .head_dim = 64, .length = 1000});
  return shapes;
}

TEST_P(AttentionTest, IsScalars) {
  for (const Shape& shape : Shapes()) {
    const Problem problem(shape);
    ExpectSameBits(problem.RunAll(ScalarTable()), problem.RunAll(table()),
                   Name(shape));
  }
}

TEST_P(AttentionTest, IsNearReference) {
  for (const Shape& shape : Shapes()) {
    const Problem problem(shape);
    const std::vector<float> got = problem.RunAll(table());
    const std::vector<double> want = problem.Reference();
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 2e-5) << Name(shape) << ", " << i;
    }
  }
}

// Scores far apart, so that one position takes it all and others vanish.
TEST_P(AttentionTest, SharpScoresAreScalarsAndNearReference) {
  const Shape shape = {.group = 4, .head_dim = 64, .length = 300};
  const Problem problem(shape, 30.0F);
  const std::vector<float> got = problem.RunAll(table());
  ExpectSameBits(problem.RunAll(ScalarTable()), got, "sharp");
  const std::vector<double> want = problem.Reference();
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], 1e-3) << i;
  }
}

TEST_P(AttentionTest, AHeadDoesNotDependOnItsGroup) {
  const Shape shape = {.group = 11, .head_dim = 96, .length = 200};
  const Problem problem(shape);
  const std::vector<float> want = problem.RunAll(table());
  for (const std::size_t heads : {1U, 2U, 3U, 8U}) {
    std::vector<float> out(want.size());
    for (std::size_t h = 0; h < shape.group; h += heads) {
      problem.Run(table(), h, std::min(heads, shape.group - h), out.data());
    }
    ExpectSameBits(want, out, std::to_string(heads) + " heads at a time");
  }
}

// What lies behind the last position, and between rows, is not looked at.
TEST_P(AttentionTest, OnlyThePositionsOfTheLengthCount) {
  const Shape longer = {.group = 3, .head_dim = 32, .length = 130};
  Problem problem(longer);
  std::fill(problem.k().begin() + 100 * 48, problem.k().end(),
            std::uint16_t{0x7E00});
  const Shape shorter = {.group = 3, .head_dim = 32, .length = 100};
  // The same stream of random values, so the same first 100 positions.
  const Problem same(shorter);
  AttentionArgs args;
  std::vector<float> q = Normal(3 * 32, 1, 2.0F);
  std::vector<float> values = Normal(130 * 48, 3);
  std::vector<std::uint16_t> v(values.size());
  ScalarTable().to_f16(values.data(), values.size(), v.data());
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (i % 48 >= 32) v[i] = 0x7E00;
  }
  std::vector<float> out(q.size());
  args.q = q.data();
  args.group = 3;
  args.head_dim = 32;
  args.k = problem.k().data();
  args.v = v.data();
  args.kv_stride = 48;
  args.length = 100;
  args.scale = 1.0F / std::sqrt(32.0F);
  args.out = out.data();
  table().attention(args);
  ExpectSameBits(same.RunAll(table()), out, "100 of 130");
}

}  // namespace
}  // namespace sluice::kernels
