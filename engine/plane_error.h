// PlaneError: how far the base plane of nested weights is from both planes.
//
// Thread safety: pure functions.
#ifndef SLUICE_ENGINE_PLANE_ERROR_H_
#define SLUICE_ENGINE_PLANE_ERROR_H_

#include "kernels/kernel_table.h"
#include "storage/expert_store.h"

namespace sluice {

// sum (base - full)^2 / sum full^2 over all weights of an expert; 0 where all
// are 0. REQUIRES: its matrices have both planes, in the layout rows8.
double PlaneError(const kernels::KernelTable& kernels,
                  const storage::ExpertView& expert);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PLANE_ERROR_H_
