// KvCache: the keys and values of every position, layer and K/V head, as rows
// of f16 or of 8 bits (kernels/kv_rows.h).
//
// One head's positions are contiguous, so attention streams them. Memory is
// reserved for the whole context and touched as it fills.
//
// Thread safety: distinct positions may be written concurrently.
#ifndef SLUICE_ENGINE_KV_CACHE_H_
#define SLUICE_ENGINE_KV_CACHE_H_

#include <cstddef>
#include <cstdint>

#include "engine/model_config.h"
#include "engine/sluice.h"
#include "kernels/kernel_table.h"
#include "storage/aligned_buffer.h"
#include "storage/result.h"

namespace sluice {

struct KvShape {
  std::size_t context = 0;  // positions
  KvFormat format = KvFormat::kF16;
};

class KvCache {
 public:
  static std::size_t Bytes(const ModelConfig& config, const KvShape& shape);
  // Returns: kNoMemory.
  static Result<KvCache> Create(const ModelConfig& config,
                                const KvShape& shape);

  std::size_t context() const { return shape_.context; }
  kernels::KvFormat format() const;
  std::size_t row_bytes() const { return row_bytes_; }
  // The rows of one head, one for each position, row_bytes() apart.
  std::byte* keys(std::size_t layer, std::size_t head) {
    return buffer_.data() + Head(layer, head);
  }
  std::byte* values(std::size_t layer, std::size_t head) {
    return buffer_.data() + half_bytes_ + Head(layer, head);
  }

 private:
  KvCache() = default;
  std::size_t Head(std::size_t layer, std::size_t head) const {
    return (layer * kv_heads_ + head) * shape_.context * row_bytes_;
  }

  storage::AlignedBuffer buffer_;  // keys of all layers, then values
  std::size_t half_bytes_ = 0;
  std::size_t kv_heads_ = 0;
  std::size_t row_bytes_ = 0;
  KvShape shape_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_KV_CACHE_H_
