#include "storage/expert_store.h"

#include <cassert>
#include <utility>

#include "storage/expert_source.h"

namespace sluice::storage {

ExpertStore::ExpertStore(std::unique_ptr<const ExpertSource> source)
    : source_(std::move(source)) {}
ExpertStore::ExpertStore(ExpertStore&&) noexcept = default;
ExpertStore& ExpertStore::operator=(ExpertStore&&) noexcept = default;
ExpertStore::~ExpertStore() = default;

Result<ExpertStore> ExpertStore::FromGguf(const GgufFile& gguf,
                                          std::uint32_t layers,
                                          std::uint32_t experts) {
  SLUICE_ASSIGN(auto source, MakeGgufSource(gguf, layers, experts));
  return ExpertStore(std::move(source));
}

Result<ExpertStore> ExpertStore::FromContainer(const ContainerReader& container,
                                               VerifyReads verify,
                                               PlaneLevel level,
                                               std::vector<bool> low) {
  SLUICE_ASSIGN(auto source,
                MakeContainerSource(container, verify, level, std::move(low)));
  return ExpertStore(std::move(source));
}

bool ExpertStore::has_planes() const { return source_->has_planes(); }
bool ExpertStore::has_planes(ExpertId id) const {
  return source_->has_planes() && source_->HasPlanes(id);
}
std::uint32_t ExpertStore::layers() const { return source_->layers(); }
std::uint32_t ExpertStore::experts() const { return source_->experts(); }
std::size_t ExpertStore::slot_bytes() const { return source_->slot_bytes(); }

std::size_t ExpertStore::expert_bytes(std::uint16_t layer) const {
  const ExpertView shape = Shape(layer);
  return shape.gate.bytes() + shape.up.bytes() + shape.down.bytes();
}

std::uint64_t ExpertStore::total_bytes() const {
  std::uint64_t bytes = 0;
  for (std::uint32_t layer = 0; layer < layers(); ++layer) {
    for (std::uint32_t expert = 0; expert < experts(); ++expert) {
      bytes += source_->WeightBytes({static_cast<std::uint16_t>(layer),
                                     static_cast<std::uint16_t>(expert)});
    }
  }
  return bytes;
}

std::uint64_t ExpertStore::read_bytes(PlaneSet planes) const {
  assert(planes == PlaneSet::kAll || has_planes());
  std::uint64_t bytes = 0;
  for (std::uint32_t layer = 0; layer < layers(); ++layer) {
    for (std::uint32_t expert = 0; expert < experts(); ++expert) {
      const ExpertId id = {static_cast<std::uint16_t>(layer),
                           static_cast<std::uint16_t>(expert)};
      bytes += source_->ReadBytes(id, planes);
    }
  }
  return bytes;
}

ExpertReads ExpertStore::Reads(ExpertId id, std::byte* slot,
                               ReadClass read_class, std::uint64_t tag,
                               PlaneSet planes) const {
  assert(id.layer < layers() && id.expert < experts());
  assert(planes == PlaneSet::kAll || has_planes(id));
  return source_->Reads(id, slot, read_class, tag, planes);
}

Result<void> ExpertStore::Finish(ExpertId id, std::byte* slot,
                                 PlaneSet planes) const {
  assert(id.layer < layers() && id.expert < experts());
  return source_->Finish(id, slot, planes);
}

ExpertView ExpertStore::View(ExpertId id, const std::byte* slot,
                             PlaneSet planes) const {
  assert(id.layer < layers() && id.expert < experts());
  return source_->View(id, slot, planes);
}

ExpertView ExpertStore::Shape(std::uint16_t layer) const {
  assert(layer < layers());
  return source_->Shape(layer);
}

}  // namespace sluice::storage
