#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/kv_rows.h"
#include "tests/kernels/table_test_support.h"

namespace sluice::kernels {
namespace {

struct Shape {
  std::size_t group;
  std::size_t head_dim;
  std::size_t length;
  std::size_t queries = 1;
  std::size_t window = SIZE_MAX;
  KvFormat format = KvFormat::kF16;
};
std::string Name(const Shape& s) {
  return "group " + std::to_string(s.group) + ", head_dim " +
         std::to_string(s.head_dim) + ", length " + std::to_string(s.length) +
         ", queries " + std::to_string(s.queries) + ", window " +
         std::to_string(s.window) +
         (s.format == KvFormat::kQ8 ? ", 8 bits" : "");
}

// Random inputs of one attention, and its calls.
class Problem {
 public:
  explicit Problem(const Shape& shape, float deviation = 2.0F)
      : shape_(shape),
        stride_(KvRowBytes(shape.format, shape.head_dim) + kBetween),
        query_stride_(shape.group * shape.head_dim +
                      (shape.queries > 1 ? 8 : 0)),
        q_(Normal(shape.queries * query_stride_, 1, deviation)),
        k_(Keys(2, deviation)),
        v_(Rows(3, 1.0F)) {}

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
  // Makes the keys and values of positions [begin, end) NaN.
  void Spoil(std::size_t begin, std::size_t end) {
    std::memset(v_.data() + begin * stride_, 0xFF, (end - begin) * stride_);
    for (std::size_t p = begin; p < end; ++p) {
      ForEachOfKey(p, [&](std::size_t at, std::size_t bytes) {
        std::memset(k_.data() + at, 0xFF, bytes);
      });
    }
  }
  // Makes what lies between the rows, and the groups of keys, NaN.
  void SpoilBetween() {
    for (std::size_t p = 0; p < shape_.length; ++p) {
      std::memset(v_.data() + (p + 1) * stride_ - kBetween, 0xFF, kBetween);
    }
    const std::size_t group = kKeyGroup * stride_;
    const std::size_t between = kKeyGroup * kBetween;
    for (std::size_t end = group; end <= k_.size(); end += group) {
      std::memset(k_.data() + end - between, 0xFF, between);
    }
  }
  // Makes what is there of the last group of keys beyond the last one NaN.
  void SpoilBeyond() {
    for (std::size_t p = shape_.length; p < Grouped(shape_.length); ++p) {
      ForEachOfKey(p, [&](std::size_t at, std::size_t bytes) {
        std::memset(k_.data() + at, 0xFF, bytes);
      });
    }
  }
  // From now on position p is row p mod `ring`, later ones over earlier ones.
  void Wrap(std::size_t ring) {
    ring_ = ring;
    const std::vector<std::byte> keys = std::move(k_);
    const std::vector<std::byte> rows = std::move(v_);
    k_.assign(ring * stride_, std::byte{0xFF});
    v_.assign(ring * stride_, std::byte{0xFF});
    for (std::size_t p = 0; p < shape_.length; ++p) {
      std::memcpy(v_.data() + p % ring * stride_, rows.data() + p * stride_,
                  stride_);
      std::vector<std::size_t> from;
      ForEachOfKey(p, [&](std::size_t at, std::size_t) { from.push_back(at); });
      std::size_t i = 0;
      ForEachOfKey(p % ring, [&](std::size_t at, std::size_t bytes) {
        std::memcpy(k_.data() + at, keys.data() + from[i++], bytes);
      });
    }
  }

 private:
  AttentionArgs Arguments(std::size_t first, std::size_t heads) const {
    AttentionArgs args;
    args.q = q_.data() + first * shape_.head_dim;
    args.query_stride = query_stride_;
    args.group = heads;
    args.head_dim = shape_.head_dim;
    args.format = shape_.format;
    args.k = k_.data();
    args.v = v_.data();
    args.kv_stride = stride_;
    args.ring = ring_;
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
        weight[p] += double{q_[at + d]} * KeyValue(p, d) * Scale();
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
        out[at + d] += weight[p] / sum * Value(v_, p, d);
      }
    }
  }
  float Scale() const {
    return 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
  }
  std::vector<std::byte> Rows(std::uint32_t seed, float deviation) const {
    const std::size_t dim = shape_.head_dim;
    const std::vector<float> x = Normal(shape_.length * dim, seed, deviation);
    std::vector<std::byte> rows(shape_.length * stride_);
    for (std::size_t p = 0; p < shape_.length; ++p) {
      StoreKvRow(ScalarTable(), shape_.format, x.data() + p * dim, dim,
                 rows.data() + p * stride_);
    }
    return rows;
  }
  static std::size_t Grouped(std::size_t positions) {
    return (positions + kKeyGroup - 1) / kKeyGroup * kKeyGroup;
  }
  std::vector<std::byte> Keys(std::uint32_t seed, float deviation) const {
    const std::size_t dim = shape_.head_dim;
    const std::vector<float> x = Normal(shape_.length * dim, seed, deviation);
    std::vector<std::byte> keys(Grouped(shape_.length) * stride_);
    for (std::size_t p = 0; p < shape_.length; ++p) {
      StoreKvKey(ScalarTable(), shape_.format, x.data() + p * dim, dim,
                 keys.data() + p / kKeyGroup * kKeyGroup * stride_,
                 p % kKeyGroup);
    }
    return keys;
  }
  // visit(offset, bytes) of what row `row` of the keys has, in order.
  template <class Visit>
  void ForEachOfKey(std::size_t row, Visit visit) const {
    const std::size_t group = row / kKeyGroup * kKeyGroup * stride_;
    const std::size_t place = row % kKeyGroup;
    const bool q8 = shape_.format == KvFormat::kQ8;
    const std::size_t bytes = q8 ? 1 : 2;
    const std::size_t values =
        q8 ? KvScalesOffset(shape_.head_dim) : shape_.head_dim;
    for (std::size_t d = 0; d < values; ++d) {
      visit(group + (d * kKeyGroup + place) * bytes, bytes);
    }
    const std::size_t scales = group + values * kKeyGroup * bytes;
    for (std::size_t b = 0; q8 && b < values / kKvBlock; ++b) {
      visit(scales + (b * kKeyGroup + place) * 4, std::size_t{4});
    }
  }
  double KeyValue(std::size_t p, std::size_t d) const {
    const std::size_t place = p % kKeyGroup;
    const std::byte* const group = k_.data() + (p - place) * stride_;
    if (shape_.format == KvFormat::kF16) {
      std::uint16_t half = 0;
      std::memcpy(&half, group + (d * kKeyGroup + place) * 2, sizeof(half));
      return ReferenceF16(half);
    }
    const std::size_t scales = kKeyGroup * KvScalesOffset(shape_.head_dim);
    float scale = 0;
    std::memcpy(&scale, group + scales + (d / kKvBlock * kKeyGroup + place) * 4,
                sizeof(scale));
    return static_cast<std::int8_t>(group[d * kKeyGroup + place]) *
           double{scale};
  }
  double Value(const std::vector<std::byte>& rows, std::size_t p,
               std::size_t d) const {
    const std::byte* const row = rows.data() + p * stride_;
    if (shape_.format == KvFormat::kF16) {
      std::uint16_t half = 0;
      std::memcpy(&half, row + 2 * d, sizeof(half));
      return ReferenceF16(half);
    }
    float scale = 0;
    std::memcpy(&scale, row + (shape_.head_dim + 31) / 32 * 32 + d / 32 * 4,
                sizeof(scale));
    return static_cast<std::int8_t>(row[d]) * double{scale};
  }

  static constexpr std::size_t kBetween = 32;  // bytes between rows
  Shape shape_;
  std::size_t stride_;
  std::size_t query_stride_;
  std::vector<float> q_;
  std::size_t ring_ = SIZE_MAX;
  std::vector<std::byte> k_;
  std::vector<std::byte> v_;
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
  for (const std::size_t dim : {16U, 48U, 64U, 112U, 128U, 512U}) {
    shapes.push_back({.group = 3,
                      .head_dim = dim,
                      .length = 100,
                      .queries = 9,
                      .format = KvFormat::kQ8});
  }
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
  problem.Spoil(90, 100);
  std::vector<float> got = problem.RunAll(table());
  const std::size_t unspoiled = want.size() / shape.queries * 10;
  EXPECT_TRUE(std::isnan(got[unspoiled]));
  want.resize(unspoiled);
  got.resize(unspoiled);
  ExpectSameBits(want, got, "the first ten queries");
}

TEST_P(AttentionTest, WhatLiesBetweenRowsDoesNotCount) {
  for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8}) {
    Problem problem(
        {.group = 3, .head_dim = 48, .length = 100, .format = format});
    const std::vector<float> want = problem.RunAll(table());
    problem.SpoilBetween();
    problem.SpoilBeyond();
    ExpectSameBits(want, problem.RunAll(table()), "100 rows");
  }
}

TEST_P(AttentionTest, WhatLiesBeforeTheWindowDoesNotCount) {
  Problem problem({.group = 3, .head_dim = 48, .length = 200, .window = 90});
  const std::vector<float> want = problem.RunAll(table());
  problem.Spoil(0, 110);
  ExpectSameBits(want, problem.RunAll(table()), "the last 90 of 200");
}

// The fewest rows that hold what the queries see, rounded up to whole blocks.
TEST_P(AttentionTest, RowsInARingAreThoseInALine) {
  for (Shape shape : PromptShapes()) {
    if (shape.window == SIZE_MAX) continue;
    for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8}) {
      shape.format = format;
      shape.queries = std::min<std::size_t>(shape.queries, 20);
      for (const std::size_t length : {150U, 256U, 511U, 512U, 700U}) {
        shape.length = length;
        Problem problem(shape);
        const std::vector<float> want = problem.RunAll(table());
        const std::size_t sees = shape.window - 1 + shape.queries;
        const std::size_t ring =
            (sees + kAttentionBlock - 1) / kAttentionBlock * kAttentionBlock;
        ASSERT_LT(ring, length) << "it does not wrap";
        problem.Wrap(ring);
        ExpectSameBits(want, problem.RunAll(table()), Name(shape));
      }
    }
  }
}

class KvRowTest : public TableTest {};
INSTANTIATE_TEST_SUITE_P(, KvRowTest, MachineTables(), TableName);

TEST_P(KvRowTest, RowsAreScalarsAndNothingMoreIsWritten) {
  for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8}) {
    for (const std::size_t n : {16U, 32U, 48U, 64U, 112U, 128U, 512U}) {
      const std::vector<float> x = Extreme(n, 5);
      const std::size_t bytes = KvRowBytes(format, n);
      std::vector<std::byte> want(bytes + 4, std::byte{0x5A});
      std::vector<std::byte> got = want;
      StoreKvRow(ScalarTable(), format, x.data(), n, want.data());
      StoreKvRow(table(), format, x.data(), n, got.data());
      EXPECT_EQ(want, got) << n;
      EXPECT_EQ(std::count(got.begin() + static_cast<std::ptrdiff_t>(bytes),
                           got.end(), std::byte{0x5A}),
                4)
          << n;
    }
  }
}

TEST_P(KvRowTest, AKeyOfAGroupIsItsRowAndOthersStay) {
  for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8}) {
    for (const std::size_t n : {16U, 48U, 64U, 128U, 512U}) {
      const std::size_t bytes = KvRowBytes(format, n);
      std::vector<std::byte> group(kKeyGroup * bytes + 4, std::byte{0x5A});
      std::vector<std::vector<std::byte>> rows;
      for (std::uint32_t place = 0; place < kKeyGroup; ++place) {
        const std::vector<float> x = Extreme(n, place + 1);
        rows.emplace_back(bytes);
        StoreKvRow(ScalarTable(), format, x.data(), n, rows.back().data());
        StoreKvKey(table(), format, x.data(), n, group.data(), place);
      }
      const bool q8 = format == KvFormat::kQ8;
      const std::size_t values = q8 ? KvScalesOffset(n) : n;
      const std::size_t size = q8 ? 1 : 2;
      for (std::size_t place = 0; place < kKeyGroup; ++place) {
        std::vector<std::byte> row;
        const auto take = [&](std::size_t at, std::size_t count) {
          row.insert(row.end(), group.begin() + static_cast<long>(at),
                     group.begin() + static_cast<long>(at + count));
        };
        for (std::size_t d = 0; d < values; ++d) {
          take((d * kKeyGroup + place) * size, size);
        }
        for (std::size_t b = 0; q8 && b < values / kKvBlock; ++b) {
          take(kKeyGroup * values + (b * kKeyGroup + place) * 4, 4);
        }
        EXPECT_EQ(row, rows[place]) << n << ", " << place;
      }
      EXPECT_EQ(std::count(group.end() - 4, group.end(), std::byte{0x5A}), 4);
    }
  }
}

// Half a step of a block's 127: blocks of 32 values with a scale each.
TEST_P(KvRowTest, EightBitsLoseHalfAStepOfTheirBlock) {
  constexpr std::size_t kValues = 112;
  std::vector<float> x = Normal(kValues, 7);
  for (std::size_t i = 32; i < 64; ++i) x[i] *= 1000.0F;
  std::vector<std::byte> row(KvRowBytes(KvFormat::kQ8, kValues));
  ASSERT_EQ(row.size(), 128 + 4 * sizeof(float));
  StoreKvRow(table(), KvFormat::kQ8, x.data(), kValues, row.data());
  for (std::size_t i = 0; i < kValues; ++i) {
    float most = 0;
    for (std::size_t j = i / 32 * 32; j < std::min(kValues, i / 32 * 32 + 32);
         ++j) {
      most = std::max(most, std::abs(x[j]));
    }
    float scale = 0;
    std::memcpy(&scale, row.data() + 128 + i / 32 * 4, sizeof(scale));
    EXPECT_FLOAT_EQ(scale, most / 127);
    EXPECT_NEAR(static_cast<std::int8_t>(row[i]) * scale, x[i],
                0.5001F * scale);
  }
}

}  // namespace
}  // namespace sluice::kernels
