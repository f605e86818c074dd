#include <algorithm>
#include <cstddef>

#include "tests/kernels/table_test_support.h"

namespace sluice::kernels {
namespace {

struct Shape {
  std::size_t group;
  std::size_t head_dim;
  std::size_t length;
  std::size_t queries = 1;
  std::size_t window = SIZE_MAX;
};
std::string Name(const Shape& s) {
  return "group " + std::to_string(s.group) + ", head_dim " +
         std::to_string(s.head_dim) + ", length " + std::to_string(s.length) +
         ", queries " + std::to_string(s.queries) + ", window " +
         std::to_string(s.window);
}

// Random inputs of one attention, and its calls.
class Problem {
 public:
  explicit Problem(const Shape& shape, float deviation = 2.0F)
      : shape_(shape),
        stride_(shape.head_dim + 16),
        query_stride_(shape.group * shape.head_dim +
                      (shape.queries > 1 ? 8 : 0)),
        q_(Normal(shape.queries * query_stride_, 1, deviation)),
        k_(Halves(shape.length * stride_, 2, deviation)),
        v_(Halves(shape.length * stride_, 3, 1.0F)) {}

  // Heads [first, first + heads) of all queries.
  void Run(const KernelTable& table, std::size_t first, std::size_t heads,
           float* out) const {
    RunQueries(table, Arguments(first, heads), 0, shape_.queries, out);
  }
  // All heads, `together` queries at a time.
  std::vector<float> RunQueriesBy(const KernelTable& table,
                                  std::size_t together) const {
    std::vector<float> out(q_.size());
    for (std::size_t i = 0; i < shape_.queries; i += together) {
      RunQueries(table, Arguments(0, shape_.group), i,
                 std::min(together, shape_.queries - i), out.data());
    }
    return out;
  }
  std::vector<float> RunAll(const KernelTable& table) const {
    std::vector<float> out(q_.size());
    Run(table, 0, shape_.group, out.data());
    return out;
  }
  std::vector<double> Reference() const {
    std::vector<double> out(q_.size());
    for (std::size_t i = 0; i < shape_.queries; ++i) {
      const std::size_t end = shape_.length - (shape_.queries - 1 - i);
      const std::size_t begin = end - std::min(end, shape_.window);
      for (std::size_t h = 0; h < shape_.group; ++h) {
        AddReference(i * query_stride_ + h * shape_.head_dim, begin, end, out);
      }
    }
    return out;
  }
  std::vector<std::uint16_t>& k() { return k_; }
  // Makes the keys and values from position `begin` on NaN.
  void Spoil(std::size_t begin) {
    for (auto* x : {&k_, &v_}) {
      std::fill(x->begin() + static_cast<std::ptrdiff_t>(begin * stride_),
                x->end(), std::uint16_t{0x7E00});
    }
  }

 private:
  AttentionArgs Arguments(std::size_t first, std::size_t heads) const {
    AttentionArgs args;
    args.q = q_.data() + first * shape_.head_dim;
    args.query_stride = query_stride_;
    args.group = heads;
    args.head_dim = shape_.head_dim;
    args.k = k_.data();
    args.v = v_.data();
    args.kv_stride = stride_;
    args.window = shape_.window;
    args.scale = Scale();
    return args;
  }
  // Queries [begin, begin + count) of what `args` has of them.
  void RunQueries(const KernelTable& table, AttentionArgs args,
                  std::size_t begin, std::size_t count, float* out) const {
    args.out = out + (args.q - q_.data()) + begin * query_stride_;
    args.q += begin * query_stride_;
    args.queries = count;
    args.length = shape_.length - shape_.queries + begin + count;
    table.attention(args);
  }
  // The head at `at` of q and out, over positions [begin, end).
  void AddReference(std::size_t at, std::size_t begin, std::size_t end,
                    std::vector<double>& out) const {
    std::vector<double> weight(end);
    for (std::size_t p = begin; p < end; ++p) {
      for (std::size_t d = 0; d < shape_.head_dim; ++d) {
        weight[p] +=
            double{q_[at + d]} * ReferenceF16(k_[p * stride_ + d]) * Scale();
      }
    }
    const double max = *std::max_element(
        weight.begin() + static_cast<std::ptrdiff_t>(begin), weight.end());
    double sum = 0.0;
    for (std::size_t p = begin; p < end; ++p) {
      sum += weight[p] = std::exp(weight[p] - max);
    }
    for (std::size_t p = begin; p < end; ++p) {
      for (std::size_t d = 0; d < shape_.head_dim; ++d) {
        out[at + d] += weight[p] / sum * ReferenceF16(v_[p * stride_ + d]);
      }
    }
  }
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
  std::size_t query_stride_;
  std::vector<float> q_;
  std::vector<std::uint16_t> k_;
  std::vector<std::uint16_t> v_;
};

class AttentionTest : public TableTest {};
INSTANTIATE_TEST_SUITE_P(, AttentionTest, MachineTables(), TableName);

// Runs of queries across the bounds of blocks and slices, with windows that
// begin and end anywhere in a block.
std::vector<Shape> PromptShapes() {
  std::vector<Shape> shapes;
  for (const std::size_t window :
       {std::size_t{1}, std::size_t{3}, std::size_t{17}, std::size_t{64},
        std::size_t{100}, std::size_t{SIZE_MAX}}) {
    for (const std::size_t group : {1U, 3U, 8U, 20U}) {
      shapes.push_back({.group = group,
                        .head_dim = 48,
                        .length = 150,
                        .queries = 37,
                        .window = window});
    }
    shapes.push_back({.group = 1,
                      .head_dim = 128,
                      .length = 130,
                      .queries = 130,
                      .window = window});
  }
  return shapes;
}

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
  for (const Shape& shape : PromptShapes()) shapes.push_back(shape);
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

// Byte identity of a prompt in chunks rests on this.
TEST_P(AttentionTest, AQueryDoesNotDependOnThoseComputedWithIt) {
  for (const Shape& shape : PromptShapes()) {
    const Problem problem(shape);
    const std::vector<float> want = problem.RunQueriesBy(table(), 1);
    for (const std::size_t together : {2U, 5U, 16U, 200U}) {
      ExpectSameBits(want, problem.RunQueriesBy(table(), together),
                     Name(shape) + ", " + std::to_string(together));
    }
  }
}

TEST_P(AttentionTest, AQueryDoesNotSeeLaterPositions) {
  const Shape shape = {
      .group = 1, .head_dim = 48, .length = 100, .queries = 20};
  Problem problem(shape);
  std::vector<float> want = problem.RunAll(table());
  problem.Spoil(90);
  std::vector<float> got = problem.RunAll(table());
  const std::size_t unspoiled = want.size() / shape.queries * 10;
  EXPECT_TRUE(std::isnan(got[unspoiled]));
  want.resize(unspoiled);
  got.resize(unspoiled);
  ExpectSameBits(want, got, "the first ten queries");
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
