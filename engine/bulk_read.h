// ReadInFileOrder: many reads as one sequential pass, a few in flight.
//
// Thread safety: uses the device, which must have nothing in flight.
#ifndef SLUICE_ENGINE_BULK_READ_H_
#define SLUICE_ENGINE_BULK_READ_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice {

// Runs `requests` (tags are overwritten) in the order of their places in the
// files. `progress(bytes done, bytes in all)` may be empty. After an error
// nothing is in flight.
// Returns: kIo.
Result<void> ReadInFileOrder(
    storage::ReadDevice& device, std::vector<storage::ReadRequest> requests,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace sluice

#endif  // SLUICE_ENGINE_BULK_READ_H_
