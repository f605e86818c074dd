// What names and choices in EngineOptions stand for, for those who open a model
// or measure for one.
//
// Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_ENGINE_OPEN_OPTIONS_H_
#define SLUICE_ENGINE_OPEN_OPTIONS_H_

#include <string>

#include "engine/sluice.h"
#include "kernels/kernel_table.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice {

// The kernels of instruction set `isa`; the machine's best where it is empty.
// Returns: kInvalidArgument (not available here).
Result<const kernels::KernelTable*> PickKernels(const std::string& isa);

storage::DeviceKind KindOf(Device device);

}  // namespace sluice

#endif  // SLUICE_ENGINE_OPEN_OPTIONS_H_
