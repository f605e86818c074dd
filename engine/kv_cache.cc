#include "engine/kv_cache.h"

namespace sluice {
namespace {

kernels::KvFormat KernelFormat(KvFormat format) {
  return format == KvFormat::kQ8 ? kernels::KvFormat::kQ8
                                 : kernels::KvFormat::kF16;
}

std::size_t RowBytes(const ModelConfig& config, const KvShape& shape) {
  return kernels::KvRowBytes(KernelFormat(shape.format), config.head_dim);
}

}  // namespace

std::size_t KvCache::Bytes(const ModelConfig& config, const KvShape& shape) {
  return std::size_t{2} * config.layers * config.kv_heads * shape.context *
         RowBytes(config, shape);
}

Result<KvCache> KvCache::Create(const ModelConfig& config,
                                const KvShape& shape) {
  KvCache cache;
  const std::size_t bytes = Bytes(config, shape);
  SLUICE_ASSIGN(cache.buffer_, storage::AlignedBuffer::Allocate(bytes));
  cache.half_bytes_ = bytes / 2;
  cache.kv_heads_ = config.kv_heads;
  cache.row_bytes_ = RowBytes(config, shape);
  cache.shape_ = shape;
  return cache;
}

kernels::KvFormat KvCache::format() const {
  return KernelFormat(shape_.format);
}

}  // namespace sluice
