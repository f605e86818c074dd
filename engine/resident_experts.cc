#include "engine/resident_experts.h"

#include "engine/bulk_read.h"
#include "engine/interleave.h"

namespace sluice {
namespace {

std::size_t Count(const storage::ExpertStore& store) {
  return std::size_t{store.layers()} * store.experts();
}

ExpertId IdOf(const storage::ExpertStore& store, std::size_t index) {
  return {static_cast<std::uint16_t>(index / store.experts()),
          static_cast<std::uint16_t>(index % store.experts())};
}

}  // namespace

std::uint64_t ResidentExperts::Bytes(const storage::ExpertStore& store) {
  return std::uint64_t{Count(store)} * store.slot_bytes();
}

Result<std::unique_ptr<ResidentExperts>> ResidentExperts::Load(
    const storage::ExpertStore& store, storage::ReadDevice& device,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  SLUICE_ASSIGN(auto buffer, storage::AlignedBuffer::Allocate(
                                 Bytes(store), {.huge_pages = true}));
  std::unique_ptr<ResidentExperts> experts(
      new ResidentExperts(std::move(buffer)));
  experts->experts_ = store.experts();
  const auto slot = [&](std::size_t index) {
    return experts->buffer_.data() + index * store.slot_bytes();
  };
  std::vector<storage::ReadRequest> requests;
  for (std::size_t i = 0; i < Count(store); ++i) {
    const storage::ExpertReads reads =
        store.Reads(IdOf(store, i), slot(i), storage::ReadClass::kDemand, 0);
    requests.insert(requests.end(), reads.span().begin(), reads.span().end());
  }
  SLUICE_TRY(ReadInFileOrder(device, std::move(requests), progress));
  for (std::size_t i = 0; i < Count(store); ++i) {
    SLUICE_TRY(store.Finish(IdOf(store, i), slot(i)));
    experts->views_.push_back(store.View(IdOf(store, i), slot(i)));
  }
  return experts;
}

void ResidentExperts::Interleave(const Compute& compute) {
  for (storage::ExpertView& view : views_) {
    for (storage::MatrixView* matrix : {&view.gate, &view.up, &view.down}) {
      InterleaveInPlace(
          compute, buffer_.data() + (matrix->data - buffer_.data()), *matrix);
    }
  }
}

Result<void> ResidentExperts::Begin(const LayerRequest& request) {
  wave_.clear();
  for (std::uint32_t i = 0; i < request.experts.size(); ++i) {
    wave_.push_back({i, views_[request.layer * experts_ + request.experts[i]]});
  }
  given_ = false;
  return {};
}

Result<std::span<const ReadyExpert>> ResidentExperts::NextWave() {
  if (given_) return std::span<const ReadyExpert>{};
  given_ = true;
  return std::span<const ReadyExpert>(wave_);
}

}  // namespace sluice
