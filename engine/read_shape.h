// How experts are read: the piece size and the depth that the flash under a
// model does best with.
//
// Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_ENGINE_READ_SHAPE_H_
#define SLUICE_ENGINE_READ_SHAPE_H_

#include <optional>
#include <string>

#include "storage/read_device.h"
#include "storage/read_shape.h"

namespace sluice {

// What `probe_file` remembers for the file of `device`, which `options` names,
// or else measures it as `options` say and remembers that. None where it cannot
// be measured or is not worth it: the file is small.
std::optional<storage::FlashChoice> ReadShapeFor(
    const storage::ReadDevice& device, const storage::ReadShapeOptions& options,
    const std::string& probe_file);

}  // namespace sluice

#endif  // SLUICE_ENGINE_READ_SHAPE_H_
