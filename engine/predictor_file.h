// Predictor files: a TransitionTable (predictor/transition_table.h has its
// bytes) followed by their XXH3 checksum, 8 bytes, little-endian.
//
// Thread safety: free functions, may be called from any thread.
#ifndef SLUICE_ENGINE_PREDICTOR_FILE_H_
#define SLUICE_ENGINE_PREDICTOR_FILE_H_

#include <string>
#include <vector>

#include "predictor/router_shape.h"
#include "predictor/transition_table.h"
#include "storage/result.h"

namespace sluice {

std::vector<std::byte> EncodePredictorFile(const TransitionTable& table);

// Reads a table; the file is untrusted.
// Returns: kNotFound, kPermission, kIo, kNoMemory, kInvalidArgument (not a
// regular file), kCorrupt (no table, another version, altered, cut short).
Result<TransitionTable> ReadPredictorFile(const std::string& path);

// Whether the table that came from `path` is that of routers of `shape`.
// Returns: kInvalidArgument.
Result<void> CheckTable(const TransitionTable& table, const RouterShape& shape,
                        const std::string& path);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PREDICTOR_FILE_H_
