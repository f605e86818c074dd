// The backends behind OpenReadDevice, one function each. Private to storage.
//
// All take validated options and at least one path, and return as
// OpenReadDevice does.
#ifndef SLUICE_STORAGE_DEVICE_BACKENDS_H_
#define SLUICE_STORAGE_DEVICE_BACKENDS_H_

#include <memory>
#include <string>
#include <vector>

#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

// kUnsupported where the kernel lacks or refuses io_uring.
Result<std::unique_ptr<ReadDevice>> OpenUringDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options);

Result<std::unique_ptr<ReadDevice>> OpenPreadDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options);

Result<std::unique_ptr<ReadDevice>> OpenMemoryDevice(
    const std::vector<std::string>& paths, const DeviceOptions& options);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_DEVICE_BACKENDS_H_
