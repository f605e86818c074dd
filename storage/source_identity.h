// SourceIdentity: tells a GGUF from another one, also from one with the same
// headers and other weights, so that an interrupted repack never goes on with
// weights that it did not begin with.
//
// Thread safety: a value, and a function of its arguments.
#ifndef SLUICE_STORAGE_SOURCE_IDENTITY_H_
#define SLUICE_STORAGE_SOURCE_IDENTITY_H_

#include <cstdint>

#include "storage/gguf.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

struct SourceIdentity {
  std::uint64_t bytes = 0;  // of all files
  // Of the headers, and of four blocks of 4 KiB of each tensor (all of a small
  // one): the same for every copy of the GGUF.
  std::uint64_t hash = 0;
  // Of the files' sizes and times of modification: another after any change.
  std::uint64_t stamp = 0;
};

// `device` has the files of `gguf` open and nothing in flight. Reads 16 KiB a
// tensor with 1 MiB of memory.
// Returns: as the device's reads; kNoMemory.
Result<SourceIdentity> IdentifySource(const GgufFile& gguf, ReadDevice& device);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_SOURCE_IDENTITY_H_
