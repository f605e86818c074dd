#include "engine/kv_cache.h"

namespace sluice {

std::size_t KvCache::Bytes(const ModelConfig& config, std::size_t context) {
  return std::size_t{2} * sizeof(std::uint16_t) * config.layers *
         config.kv_width() * context;
}

Result<KvCache> KvCache::Create(const ModelConfig& config,
                                std::size_t context) {
  KvCache cache;
  SLUICE_ASSIGN(cache.buffer_,
                storage::AlignedBuffer::Allocate(Bytes(config, context)));
  cache.half_elements_ =
      std::size_t{config.layers} * config.kv_width() * context;
  cache.kv_heads_ = config.kv_heads;
  cache.head_dim_ = config.head_dim;
  cache.context_ = context;
  return cache;
}

}  // namespace sluice
