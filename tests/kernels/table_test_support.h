// What the tests of KernelTable entries share: the tables to test, inputs, and
// comparison to the bit.
#ifndef SLUICE_TESTS_KERNELS_TABLE_TEST_SUPPORT_H_
#define SLUICE_TESTS_KERNELS_TABLE_TEST_SUPPORT_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace sluice::kernels {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline const KernelTable& ScalarTable() {
  return *AvailableTables(CpuFeatures{}).back();
}

// Lengths around the lane count, and zero.
inline constexpr std::size_t kLengths[] = {0,  1,  15,  16,  17,  31,
                                           32, 33, 100, 255, 256, 1000};

// Normally distributed values.
inline std::vector<float> Normal(std::size_t n, std::uint32_t seed,
                                 float deviation = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// Zeros, subnormals and the ends of the range among normal values.
inline std::vector<float> Extreme(std::size_t n, std::uint32_t seed) {
  constexpr float kSpecial[] = {
      0.0F,  -0.0F,   1e-45F,  -1e-40F,  1.17549435e-38F, 1e30F,   -1e30F,
      88.8F, -103.9F, 3.4e38F, -3.4e38F, 6.0e-8F,         65519.9F};
  std::vector<float> values = Normal(n, seed);
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 3 == 1) values[i] = kSpecial[(i / 3 + seed) % std::size(kSpecial)];
  }
  return values;
}

inline std::uint32_t Bits(float x) { return std::bit_cast<std::uint32_t>(x); }

// Equal to the bit; any NaN equals any other.
inline void ExpectSameBits(std::span<const float> want,
                           std::span<const float> got,
                           const std::string& what) {
  ASSERT_EQ(want.size(), got.size()) << what;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(want[i]) && std::isnan(got[i])) continue;
    ASSERT_EQ(Bits(want[i]), Bits(got[i]))
        << what << ", element " << i << ": " << want[i] << " and " << got[i];
  }
}

// f16 to double, by the definition of the format.
inline double ReferenceF16(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                       : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// A test that runs once for each table of this machine.
class TableTest : public testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }
};
inline auto MachineTables() {
  const auto tables = AvailableTables(DetectCpuFeatures());
  return testing::ValuesIn(tables.begin(), tables.end());
}
inline std::string TableName(
    const testing::TestParamInfo<const KernelTable*>& info) {
  return std::string(info.param->name);
}

}  // namespace sluice::kernels

#endif  // SLUICE_TESTS_KERNELS_TABLE_TEST_SUPPORT_H_
