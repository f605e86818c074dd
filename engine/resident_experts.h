// ResidentExperts: the ExpertSource of a model that fits in memory. Every
// expert is read once, in file order, and is always ready.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_RESIDENT_EXPERTS_H_
#define SLUICE_ENGINE_RESIDENT_EXPERTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/expert_source.h"
#include "engine/products.h"
#include "storage/aligned_buffer.h"
#include "storage/expert_store.h"
#include "storage/read_device.h"
#include "storage/result.h"

namespace sluice {

class ResidentExperts final : public ExpertSource {
 public:
  // Bytes that Load allocates.
  static std::uint64_t Bytes(const storage::ExpertStore& store);
  // `progress(bytes done, bytes in all)` may be empty.
  // Returns: kNoMemory, kIo, kCorrupt.
  static Result<std::unique_ptr<ResidentExperts>> Load(
      const storage::ExpertStore& store, storage::ReadDevice& device,
      const std::function<void(std::uint64_t, std::uint64_t)>& progress);

  // Interleaves all experts' matrices: once, after Load.
  void Interleave(const Compute& compute);

  // All experts' slots.
  std::span<const std::byte> memory() const { return buffer_.span(); }

  Result<void> Begin(const LayerRequest& request) override;
  Result<std::span<const ReadyExpert>> NextWave() override;

 private:
  explicit ResidentExperts(storage::AlignedBuffer buffer)
      : buffer_(std::move(buffer)) {}

  storage::AlignedBuffer buffer_;           // a slot per expert
  std::vector<storage::ExpertView> views_;  // [layers, experts]
  std::size_t experts_ = 0;
  std::vector<ReadyExpert> wave_;
  bool given_ = true;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_RESIDENT_EXPERTS_H_
