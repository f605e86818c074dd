// The checksums of a container's sections of many parts.
#include <span>
#include <vector>

#include "storage/container_index.h"
#include "storage/xxh3.h"

namespace sluice::storage {
namespace {

template <typename Entry>
std::uint64_t HashChecksums(const std::vector<Entry>& entries) {
  std::vector<std::uint64_t> checksums;
  checksums.reserve(entries.size());
  for (const Entry& entry : entries) checksums.push_back(entry.checksum);
  return HashXxh3(std::as_bytes(std::span(checksums)));
}

}  // namespace

std::uint64_t DenseChecksum(const ContainerIndex& index) {
  return HashChecksums(index.dense);
}

std::uint64_t ExpertsChecksum(const ContainerIndex& index) {
  return HashChecksums(index.parts);
}

}  // namespace sluice::storage
