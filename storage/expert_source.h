// ExpertSource: where ExpertStore gets its experts from; one implementation for
// the tensors of a GGUF and one for the records of a container. Private to
// ExpertStore, which checks the arguments.
//
// Thread safety: const methods may be called by any number of threads.
#ifndef SLUICE_STORAGE_EXPERT_SOURCE_H_
#define SLUICE_STORAGE_EXPERT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "storage/expert_store.h"

namespace sluice::storage {

class ExpertSource {
 public:
  virtual ~ExpertSource() = default;
  ExpertSource(const ExpertSource&) = delete;
  ExpertSource& operator=(const ExpertSource&) = delete;

  std::uint32_t layers() const { return layers_; }
  std::uint32_t experts() const { return experts_; }
  std::size_t slot_bytes() const { return slot_bytes_; }
  bool has_planes() const { return has_planes_; }

  virtual ExpertReads Reads(ExpertId id, std::byte* slot, ReadClass read_class,
                            std::uint64_t tag, PlaneSet planes) const = 0;
  // Of all reads of those planes of `id`.
  virtual std::uint64_t ReadBytes(ExpertId id, PlaneSet planes) const = 0;
  // Exact bytes of the weights of `id`.
  virtual std::uint64_t WeightBytes(ExpertId id) const = 0;
  // REQUIRES: has_planes().
  virtual bool HasPlanes(ExpertId /*id*/) const { return false; }
  virtual Result<void> Finish(ExpertId id, std::byte* slot,
                              PlaneSet planes) const = 0;
  virtual ExpertView View(ExpertId id, const std::byte* slot,
                          PlaneSet planes) const = 0;
  virtual ExpertView Shape(std::uint16_t layer) const = 0;

 protected:
  ExpertSource() = default;

  std::uint32_t layers_ = 0;
  std::uint32_t experts_ = 0;
  std::size_t slot_bytes_ = 0;
  bool has_planes_ = false;
};

Result<std::unique_ptr<const ExpertSource>> MakeGgufSource(
    const GgufFile& gguf, std::uint32_t layers, std::uint32_t experts);

Result<std::unique_ptr<const ExpertSource>> MakeContainerSource(
    const ContainerReader& container, VerifyReads verify, PlaneLevel level,
    std::vector<bool> low);

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_EXPERT_SOURCE_H_
