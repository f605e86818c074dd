// Rates of this machine: that each kind of matrix can be measured, in any
// amount of memory. What the rates are is the machine's affair.
#include "engine/hardware.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "engine/open_options.h"
#include "kernels/planes.h"
#include "storage/aligned_buffer.h"

namespace sluice {
namespace {

constexpr std::uint32_t kRows = 32;
constexpr std::uint32_t kColumns = 256;

class HardwareTest : public testing::Test {
 protected:
  // Both ways of measuring `shape` in `bytes` of memory.
  void Measure(const storage::MatrixView& shape, std::size_t bytes) {
    auto memory = storage::AlignedBuffer::Allocate(bytes);
    ASSERT_TRUE(memory);
    if (bytes > 0) std::memset(memory->data(), 0x3C, memory->size());
    const std::span<const std::byte> all = memory->span();
    at_once_ = MeasureProducts(compute_, shape, all);
    after_waits_ = MeasureProductsAfterWaits(compute_, shape, all);
  }

  ThreadPool pool_{2};
  PhaseClock clock_;
  Compute compute_{**PickKernels(""), pool_, clock_};
  double at_once_ = -1;
  double after_waits_ = -1;
};

TEST_F(HardwareTest, MeasuresProductsOfEachKindOfMatrix) {
  using storage::MatrixLayout;
  using storage::TensorType;
  const storage::MatrixView f32 = {.type = TensorType::kF32,
                                   .rows = kRows,
                                   .columns = kColumns,
                                   .row_bytes = kColumns * sizeof(float)};
  storage::MatrixView q8 = {.type = TensorType::kQ8_0,
                            .rows = kRows,
                            .columns = kColumns,
                            .row_bytes = kColumns / 32 * 34};
  storage::MatrixView q8_rows8 = q8;
  q8_rows8.layout = MatrixLayout::kRows8;
  storage::MatrixView base = {.type = TensorType::kPlane2,
                              .rows = kRows,
                              .columns = kColumns,
                              .row_bytes = kernels::kPlane2Bytes,
                              .layout = MatrixLayout::kRows8};
  storage::MatrixView planes = base;
  planes.residual_row_bytes = kernels::kResidual2Bytes;
  for (const auto& shape : {f32, q8, q8_rows8, base, planes}) {
    const std::size_t stride = storage::AlignUp(shape.bytes());
    for (const std::size_t matrices : {1U, 17U}) {
      SCOPED_TRACE(std::to_string(shape.bytes()) + " bytes, " +
                   std::to_string(matrices));
      Measure(shape, matrices * stride);
      EXPECT_GT(at_once_, 0);
      EXPECT_GT(after_waits_, 0);
    }
  }
}

TEST_F(HardwareTest, WithoutRoomForAMatrixThereIsNoRate) {
  const storage::MatrixView shape = {.type = storage::TensorType::kF32,
                                     .rows = kRows,
                                     .columns = kColumns,
                                     .row_bytes = kColumns * sizeof(float)};
  for (const std::size_t bytes : {0U, 4096U}) {
    Measure(shape, bytes);
    EXPECT_EQ(at_once_, 0);
    EXPECT_EQ(after_waits_, 0);
  }
}

}  // namespace
}  // namespace sluice
