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

// The `count` values of kBytes each at `row`, as place `place` of each of
// `count` runs of kKeyGroup values.
template <std::size_t kBytes>
void Spread(const std::byte* row, std::size_t count, std::size_t place,
            std::byte* runs) {
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(runs + (i * kKeyGroup + place) * kBytes, row + i * kBytes,
                kBytes);
  }
}

}  // namespace

void StoreKvRow(const KernelTable& table, KvFormat format, const float* x,
                std::size_t n, std::byte* row) {
  if (format == KvFormat::kQ8) return StoreQ8(table, x, n, row);
  table.to_f16(x, n, reinterpret_cast<std::uint16_t*>(row));
}

void StoreKvKey(const KernelTable& table, KvFormat format, const float* x,
                std::size_t n, std::byte* group, std::size_t place) {
  alignas(64) std::byte row[KvRowBytes(KvFormat::kF16, kMostValues)];
  static_assert(sizeof(row) >= KvRowBytes(KvFormat::kQ8, kMostValues));
  StoreKvRow(table, format, x, n, row);
  if (format == KvFormat::kF16) {
    return Spread<sizeof(std::uint16_t)>(row, n, place, group);
  }
  const std::size_t scales = KvScalesOffset(n);
  Spread<1>(row, scales, place, group);
  Spread<sizeof(float)>(row + scales, scales / kKvBlock, place,
                        group + kKeyGroup * scales);
}

}  // namespace sluice::kernels
