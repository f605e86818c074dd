// Parts of the products of rows8 weights that have files of their own. Internal
// to the rows8_*.cc files.
#ifndef SLUICE_KERNELS_ROWS8_PARTS_H_
#define SLUICE_KERNELS_ROWS8_PARTS_H_

#include "kernels/kernel_table.h"

namespace sluice::kernels {

// Products of both planes of nested weights.
void AddPlanesScalar(KernelTable& table);
// Products of the K types, IQ4_XS and nested weights.
void AddRows8SuperAvx2(KernelTable& table);
void AddRows8SuperAvx512(KernelTable& table);

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_PARTS_H_
