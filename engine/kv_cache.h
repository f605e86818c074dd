// KvCache: the keys and values of every position, layer and K/V head, in f16.
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
#include "storage/aligned_buffer.h"
#include "storage/result.h"

namespace sluice {

class KvCache {
 public:
  static std::size_t Bytes(const ModelConfig& config, std::size_t context);
  // Returns: kNoMemory.
  static Result<KvCache> Create(const ModelConfig& config, std::size_t context);

  std::size_t context() const { return context_; }
  // f16 [context, head_dim] of one head, positions head_dim elements apart.
  std::uint16_t* keys(std::size_t layer, std::size_t head) {
    return half(0) + Head(layer, head);
  }
  std::uint16_t* values(std::size_t layer, std::size_t head) {
    return half(1) + Head(layer, head);
  }

 private:
  KvCache() = default;
  std::uint16_t* half(std::size_t which) {
    return reinterpret_cast<std::uint16_t*>(buffer_.data()) +
           which * half_elements_;
  }
  std::size_t Head(std::size_t layer, std::size_t head) const {
    return (layer * kv_heads_ + head) * context_ * head_dim_;
  }

  storage::AlignedBuffer buffer_;  // keys of all layers, then values
  std::size_t half_elements_ = 0;
  std::size_t kv_heads_ = 0;
  std::size_t head_dim_ = 0;
  std::size_t context_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_KV_CACHE_H_
