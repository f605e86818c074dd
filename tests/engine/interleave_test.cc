#include "engine/interleave.h"

#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/rows8.h"

namespace sluice {
namespace {

constexpr std::size_t kRows = 40;
constexpr std::size_t kColumns = 256;
constexpr std::size_t kRowBytes = kColumns / 32 * 18;  // Q4_0

struct Fixture {
  explicit Fixture(const kernels::KernelTable& table)
      : compute{table, pool, clock}, bytes(kRows * kRowBytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
    }
  }
  storage::MatrixView View() const {
    return {.type = storage::TensorType::kQ4_0,
            .rows = kRows,
            .columns = kColumns,
            .row_bytes = kRowBytes,
            .data = bytes.data()};
  }

  ThreadPool pool{2};
  PhaseClock clock;
  Compute compute;
  std::vector<std::byte> bytes;
};

const kernels::KernelTable& Table(bool scalar) {
  const auto tables = kernels::AvailableTables(
      scalar ? kernels::CpuFeatures{} : kernels::DetectCpuFeatures());
  return *tables.front();
}

TEST(Interleave, RearrangesInPlaceAndSaysSo) {
  Fixture fixture(Table(/*scalar=*/false));
  if (fixture.compute.kernels.name == "scalar") GTEST_SKIP();
  const std::vector<std::byte> rows = fixture.bytes;
  std::vector<std::byte> expected(rows.size());
  kernels::InterleaveRows8(kernels::WeightType::kQ4_0, rows.data(), kRowBytes,
                           kRows, kColumns, expected.data());
  storage::MatrixView view = fixture.View();
  InterleaveInPlace(fixture.compute, fixture.bytes.data(), view);
  EXPECT_EQ(view.layout, storage::MatrixLayout::kRows8);
  EXPECT_EQ(fixture.bytes, expected);
  EXPECT_NE(fixture.bytes, rows);

  // Once is enough: the second time it finds the layout that it wants.
  InterleaveInPlace(fixture.compute, fixture.bytes.data(), view);
  EXPECT_EQ(fixture.bytes, expected);
}

TEST(Interleave, LeavesWhatIsNotWorthIt) {
  const auto unchanged = [](bool scalar, const auto& change) {
    Fixture fixture(Table(scalar));
    const std::vector<std::byte> rows = fixture.bytes;
    storage::MatrixView view = fixture.View();
    change(view);
    InterleaveInPlace(fixture.compute, fixture.bytes.data(), view);
    EXPECT_EQ(view.layout, storage::MatrixLayout::kRows);
    EXPECT_EQ(fixture.bytes, rows);
  };
  unchanged(/*scalar=*/false, [](auto& view) { view.rows = kRows - 4; });
  unchanged(/*scalar=*/false,
            [](auto& view) { view.type = storage::TensorType::kF16; });
  unchanged(/*scalar=*/true, [](auto&) {});
}

}  // namespace
}  // namespace sluice
