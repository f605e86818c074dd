#include "engine/interleave.h"

#include <algorithm>
#include <vector>

#include "kernels/rows8.h"

namespace sluice {
namespace {

// Bytes that one thread rearranges at a time, about.
constexpr std::size_t kPieceBytes = 256 << 10;

}  // namespace

bool IsWorthInterleaving(const Compute& compute,
                         const storage::MatrixView& matrix) {
  // The scalar products are faster one row at a time.
  return matrix.layout == storage::MatrixLayout::kRows &&
         kernels::HasRows8(KernelType(matrix.type)) &&
         matrix.rows % kernels::kRows8 == 0 && compute.kernels.name != "scalar";
}

void InterleaveInPlace(const Compute& compute, std::byte* data,
                       storage::MatrixView& matrix) {
  if (!IsWorthInterleaving(compute, matrix)) return;
  const std::size_t group_bytes = kernels::kRows8 * matrix.row_bytes;
  const std::size_t groups = matrix.rows / kernels::kRows8;
  const std::size_t per_piece =
      std::max<std::size_t>(1, kPieceBytes / group_bytes);
  compute.pool.For((groups + per_piece - 1) / per_piece, [&](std::size_t i) {
    std::vector<std::byte> rows(group_bytes);
    const std::size_t end = std::min(groups, (i + 1) * per_piece);
    for (std::size_t group = i * per_piece; group < end; ++group) {
      std::byte* const at = data + group * group_bytes;
      std::copy_n(at, group_bytes, rows.data());
      kernels::InterleaveRows8(KernelType(matrix.type), rows.data(),
                               matrix.row_bytes, kernels::kRows8,
                               matrix.columns, at);
    }
  });
  matrix.layout = storage::MatrixLayout::kRows8;
}

}  // namespace sluice
