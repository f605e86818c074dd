// Parts of the quantised products that have files of their own. Internal to the
// quant_*.cc files.
#ifndef SLUICE_KERNELS_QUANT_PARTS_H_
#define SLUICE_KERNELS_QUANT_PARTS_H_

#include "kernels/kernel_table.h"

namespace sluice::kernels {

// Products of the K types and IQ4_XS.
void AddSuperAvx2(KernelTable& table);
void AddSuperAvx512(KernelTable& table);
// Quantisation of activations; the tables that build on these inherit it.
void AddQuantizeAvx2(KernelTable& table);
void AddQuantizeNeon(KernelTable& table);

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_QUANT_PARTS_H_
