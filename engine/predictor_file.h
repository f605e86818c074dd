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

// Reads the table of a model whose routers have `shape`; the file is untrusted.
// Returns: kNotFound, kPermission, kIo, kNoMemory, kInvalidArgument (not a
// regular file; learned from a model of another shape), kCorrupt (no table,
// another version, altered, cut short).
Result<TransitionTable> ReadPredictorFile(const std::string& path,
                                          const RouterShape& shape);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PREDICTOR_FILE_H_
