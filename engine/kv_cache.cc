#include "engine/kv_cache.h"

#include <algorithm>

namespace sluice {
namespace {

kernels::KvFormat KernelFormat(KvFormat format) {
  return format == KvFormat::kQ8 ? kernels::KvFormat::kQ8
                                 : kernels::KvFormat::kF16;
}

// Rows of a head that hold every position, in whole groups of keys.
std::size_t AllRows(const KvShape& shape) {
  return storage::AlignUp(shape.context, kernels::kKeyGroup);
}

// Rows of a head that hold what every token of a chunk sees.
std::size_t RingRows(const ModelConfig& config, const KvShape& shape) {
  const std::size_t seen = config.window - std::size_t{1} + shape.chunk;
  return std::min(AllRows(shape),
                  storage::AlignUp(seen, kernels::kAttentionBlock));
}

std::size_t RowsOf(const ModelConfig& config, const KvShape& shape,
                   std::size_t layer) {
  return config.Windowed(layer) ? RingRows(config, shape) : AllRows(shape);
}

std::size_t RowBytes(const ModelConfig& config, const KvShape& shape) {
  return kernels::KvRowBytes(KernelFormat(shape.format), config.head_dim);
}

}  // namespace

std::size_t KvCache::Bytes(const ModelConfig& config, const KvShape& shape) {
  std::size_t rows = 0;
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    rows += RowsOf(config, shape, layer);
  }
  return 2 * rows * config.kv_heads * RowBytes(config, shape);
}

Result<KvCache> KvCache::Create(const ModelConfig& config,
                                const KvShape& shape) {
  KvCache cache;
  SLUICE_ASSIGN(cache.buffer_, storage::AlignedBuffer::Allocate(
                                   Bytes(config, shape), {.huge_pages = true}));
  cache.begin_ = {0};
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    cache.begin_.push_back(cache.begin_.back() +
                           config.kv_heads * RowsOf(config, shape, layer));
  }
  cache.kv_heads_ = config.kv_heads;
  cache.row_bytes_ = RowBytes(config, shape);
  cache.window_ = config.window;
  if (config.window != 0) cache.ring_ = RingRows(config, shape);
  cache.shape_ = shape;
  return cache;
}

kernels::KvFormat KvCache::format() const {
  return KernelFormat(shape_.format);
}

bool KvCache::Holds(std::size_t position, std::size_t written) const {
  if (window_ == 0 || written <= ring_) return true;
  const std::size_t first = position - std::min(position, window_ - 1);
  return written - ring_ <= first;
}

}  // namespace sluice
