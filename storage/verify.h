// VerifyContainer: reads every byte of a container and checks it: structure,
// every checksum, that all padding is zero, and that every compressed part
// can be unpacked.
//
// Thread safety: a function of the file alone.
#ifndef SLUICE_STORAGE_VERIFY_H_
#define SLUICE_STORAGE_VERIFY_H_

#include <cstdint>
#include <functional>
#include <string>

#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice::storage {

struct VerifyReport {
  std::uint64_t bytes = 0;  // all of the file
  std::uint64_t dense_tensors = 0;
  std::uint64_t records = 0;
  std::uint64_t parts = 0;
  bool compressed = false;
};

// `progress(bytes done, bytes in all)`, which may be empty, stops it by
// returning false. At most 40 MiB of memory, and that of one part where they
// are compressed.
// Returns: as ContainerReader::Open; kCorrupt naming the first section, tensor
// or record that is damaged and its place; kCancelled.
Result<VerifyReport> VerifyContainer(
    const std::string& path,
    const std::function<bool(std::uint64_t, std::uint64_t)>& progress = {},
    const DeviceOptions& device = {});

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_VERIFY_H_
