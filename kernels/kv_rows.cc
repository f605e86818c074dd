#include "kernels/kv_rows.h"

#include <cstdint>
#include <cstring>

#include "kernels/activations.h"

namespace sluice::kernels {
namespace {

constexpr std::size_t kMostValues = 512;

void StoreQ8(const KernelTable& table, const float* x, std::size_t n,
             std::byte* row) {
  const std::size_t padded = KvScalesOffset(n);
  float values[kMostValues];
  if (padded != n) {
    std::memcpy(values, x, n * sizeof(float));
    std::memset(values + n, 0, (padded - n) * sizeof(float));
    x = values;
  }
  const Q8x32Layout layout(padded);
  alignas(64) std::byte record[Q8x32Layout(kMostValues).bytes];
  table.quantize[static_cast<std::size_t>(ActivationFormat::kQ8x32)](x, padded,
                                                                     record);
  std::memcpy(row, record, padded);
  std::memcpy(row + padded, record + layout.scales,
              padded / kKvBlock * sizeof(float));
}

}  // namespace

void StoreKvRow(const KernelTable& table, KvFormat format, const float* x,
                std::size_t n, std::byte* row) {
  if (format == KvFormat::kQ8) return StoreQ8(table, x, n, row);
  table.to_f16(x, n, reinterpret_cast<std::uint16_t*>(row));
}

}  // namespace sluice::kernels
