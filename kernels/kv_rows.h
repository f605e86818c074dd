// Writing rows of the K/V cache in the formats that attention reads.
//
// Thread safety: writes only its output.
#ifndef SLUICE_KERNELS_KV_ROWS_H_
#define SLUICE_KERNELS_KV_ROWS_H_

#include <cstddef>

#include "kernels/kernel_table.h"

namespace sluice::kernels {

// Stores x[n] as a row of KvRowBytes(format, n) bytes: rounded to f16, or each
// block as kernels/activations.h quantises one of 32. The same bits with every
// table.
// REQUIRES: n is a multiple of 16, at most 512; `row` is aligned to 4 bytes.
void StoreKvRow(const KernelTable& table, KvFormat format, const float* x,
                std::size_t n, std::byte* row);

// Stores x[n] as place `place` of a group of keys, likewise.
// REQUIRES: as StoreKvRow; place < kKeyGroup; `group` is aligned to 4 bytes.
void StoreKvKey(const KernelTable& table, KvFormat format, const float* x,
                std::size_t n, std::byte* group, std::size_t place);

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_KV_ROWS_H_
