// The two-term quantiser: the same bytes from every instruction set, a first
// term equal to plain quantisation, and a sum that follows the input closely.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/activations.h"
#include "tests/kernels/quant_testing.h"

namespace sluice::kernels {
namespace {

constexpr std::size_t kColumns = 1280;

class QuantizeFineTest : public testing::TestWithParam<ActivationFormat> {
 protected:
  std::size_t bytes() const { return ActivationBytes(GetParam(), kColumns); }

  // The record of x and, behind it, that of what it lost.
  Records Fine(const KernelTable& table, std::span<const float> x) {
    Records records(table, GetParam(), kColumns, 2);
    table.quantize_fine[static_cast<std::size_t>(GetParam())](
        x.data(), kColumns, records.at(0), records.at(1));
    return records;
  }

  float Value(const std::byte* record, std::size_t i) const {
    const bool small = GetParam() == ActivationFormat::kQ8x32;
    const auto* scales = reinterpret_cast<const float*>(
        record +
        (small ? Q8x32Layout(kColumns).scales : Q8x256Layout(kColumns).scales));
    const auto q = static_cast<std::int8_t>(record[i]);
    return scales[i / (small ? 32 : 256)] * static_cast<float>(q);
  }

  std::mt19937 rng_{5};
};

TEST_P(QuantizeFineTest, EveryTableGivesTheSameBytes) {
  const std::vector<KernelTable> tables = QuantTables();
  for (const Inputs inputs : kInputs) {
    std::vector<float> x = MakeInputs(kColumns, inputs, rng_);
    x[300] = HUGE_VALF;
    x[700] = NAN;
    Records expected = Fine(tables[0], x);
    for (const KernelTable& table : tables) {
      Records records = Fine(table, x);
      EXPECT_EQ(std::memcmp(expected.at(0), records.at(0), bytes()), 0)
          << table.name;
      EXPECT_EQ(std::memcmp(expected.at(1), records.at(1), bytes()), 0)
          << table.name;
    }
  }
}

TEST_P(QuantizeFineTest, TheFirstTermIsThePlainRecord) {
  for (const KernelTable& table : QuantTables()) {
    const std::vector<float> x = MakeInputs(kColumns, Inputs::kNormal, rng_);
    Records plain(table, GetParam(), kColumns, 1);
    plain.Set(0, x);
    Records fine = Fine(table, x);
    EXPECT_EQ(std::memcmp(plain.at(0), fine.at(0), bytes()), 0) << table.name;
  }
}

TEST_P(QuantizeFineTest, TheTermsAddUpToFifteenBits) {
  for (const KernelTable& table : QuantTables()) {
    const std::vector<float> x = MakeInputs(kColumns, Inputs::kNormal, rng_);
    Records fine = Fine(table, x);
    float largest = 0;
    float worst = 0;
    float worst_plain = 0;
    for (std::size_t i = 0; i < kColumns; ++i) {
      const float first = Value(fine.at(0), i);
      largest = std::max(largest, std::abs(x[i]));
      worst_plain = std::max(worst_plain, std::abs(x[i] - first));
      worst = std::max(worst, std::abs(x[i] - first - Value(fine.at(1), i)));
    }
    EXPECT_LT(worst, largest * 0x1p-15F) << table.name;
    EXPECT_GT(worst_plain, largest * 0x1p-10F) << table.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizeFineTest,
                         testing::Values(ActivationFormat::kQ8x32,
                                         ActivationFormat::kQ8x256));

}  // namespace
}  // namespace sluice::kernels
