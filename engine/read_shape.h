// How experts are read: the piece size and the depth that the flash under a
// model does best with.
//
// Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_ENGINE_READ_SHAPE_H_
#define SLUICE_ENGINE_READ_SHAPE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "storage/flash_probe.h"
#include "storage/read_device.h"

namespace sluice {

// What `probe_file` remembers for the first file of `device`, or else measures
// it, with `kind` and at most `most_bytes` of memory, and remembers that. None
// where it cannot be measured or is not worth it: the file is small.
std::optional<storage::FlashChoice> ReadShapeFor(
    const storage::ReadDevice& device, storage::DeviceKind kind,
    const std::string& probe_file, std::uint64_t most_bytes);

}  // namespace sluice

#endif  // SLUICE_ENGINE_READ_SHAPE_H_
