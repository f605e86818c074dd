#include "engine/plane_error.h"

#include <cstddef>
#include <cstring>
#include <vector>

#include "kernels/planes.h"
#include "kernels/rows8.h"

namespace sluice {
namespace {

using kernels::kPlaneBlock;
using kernels::kResidual2Bytes;
using kernels::kRows8;

struct Squares {
  double error = 0;
  double weights = 0;
};

// Row `row` of a row group of a residual plane (kernels/rows8.h): d of all
// eight rows, then the codes, four bytes of each row at a time.
void TakeResidualRow(const std::byte* group, std::size_t row,
                     std::size_t blocks, std::byte* out) {
  constexpr std::size_t kD = 2;
  constexpr std::size_t kUnit = 4;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::byte* const in = group + b * kRows8 * kResidual2Bytes;
    std::byte* const block = out + b * kResidual2Bytes;
    std::memcpy(block, in + row * kD, kD);
    const std::byte* const codes = in + kRows8 * kD;
    for (std::size_t u = 0; u < (kResidual2Bytes - kD) / kUnit; ++u) {
      std::memcpy(block + kD + u * kUnit, codes + (kRows8 * u + row) * kUnit,
                  kUnit);
    }
  }
}

void AddRow(const std::vector<float>& base, const std::vector<float>& full,
            Squares& sum) {
  for (std::size_t i = 0; i < full.size(); ++i) {
    const double lost = double{base[i]} - full[i];
    sum.error += lost * lost;
    sum.weights += double{full[i]} * full[i];
  }
}

void AddMatrix(const kernels::KernelTable& kernels,
               const storage::MatrixView& matrix, Squares& sum) {
  constexpr auto kType = kernels::WeightType::kPlane2;
  const std::size_t columns = matrix.columns;
  std::vector<std::byte> rows(kRows8 * matrix.row_bytes);
  std::vector<std::byte> residual(matrix.residual_row_bytes);
  std::vector<float> base(columns);
  std::vector<float> full(columns);
  for (std::size_t group = 0; group < matrix.rows / kRows8; ++group) {
    kernels::DeinterleaveRows8(kType,
                               matrix.data + group * kRows8 * matrix.row_bytes,
                               matrix.row_bytes, kRows8, columns, rows.data());
    for (std::size_t r = 0; r < kRows8; ++r) {
      TakeResidualRow(
          matrix.residual + group * kRows8 * matrix.residual_row_bytes, r,
          columns / kPlaneBlock, residual.data());
      const std::byte* const row = rows.data() + r * matrix.row_bytes;
      kernels.dequantize[static_cast<std::size_t>(kType)](row, columns,
                                                          base.data());
      kernels::DequantizePlanes(row, residual.data(), columns, full.data());
      AddRow(base, full, sum);
    }
  }
}

}  // namespace

double PlaneError(const kernels::KernelTable& kernels,
                  const storage::ExpertView& expert) {
  Squares sum;
  for (const storage::MatrixView* matrix :
       {&expert.gate, &expert.up, &expert.down}) {
    AddMatrix(kernels, *matrix, sum);
  }
  return sum.weights > 0 ? sum.error / sum.weights : 0;
}

}  // namespace sluice
