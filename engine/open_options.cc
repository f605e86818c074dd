#include "engine/open_options.h"

#include <fmt/ranges.h>

namespace sluice {

Result<const kernels::KernelTable*> PickKernels(const std::string& isa) {
  const kernels::CpuFeatures features = kernels::DetectCpuFeatures();
  if (isa.empty()) return kernels::AvailableTables(features).front();
  const kernels::KernelTable* table = kernels::FindTable(features, isa);
  if (table != nullptr) return table;
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("instruction set '{}' is not available here; this "
                          "machine has {}",
                          isa, fmt::join(AvailableIsas(), ", ")));
}

storage::DeviceKind KindOf(Device device) {
  switch (device) {
    case Device::kUring:
      return storage::DeviceKind::kUring;
    case Device::kPread:
      return storage::DeviceKind::kPread;
    case Device::kMemory:
      return storage::DeviceKind::kMemory;
    case Device::kAuto:
      break;
  }
  return storage::DeviceKind::kAuto;
}

}  // namespace sluice
