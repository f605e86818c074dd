// KvCache: the keys and values of every position, layer and K/V head, as rows
// of f16 or of 8 bits (kernels/kv_rows.h).
//
// One head's positions are contiguous, values by rows and keys by groups of
// rows (kernels/kernel_table.h), so attention streams them. Memory is reserved
// for the whole context, in huge pages where there are, and touched as it
// fills. A layer with a window has a ring of rows: enough for what the first
// token of a chunk sees and the chunk itself, in whole blocks of attention;
// later positions take the rows of those that have left the window. That chunk
// is one of attention alone: longer ones of a prompt are written and attended
// to in parts.
//
// Thread safety: distinct positions may be written concurrently.
#ifndef SLUICE_ENGINE_KV_CACHE_H_
#define SLUICE_ENGINE_KV_CACHE_H_

#include <cstddef>
#include <vector>

#include "engine/model_config.h"
#include "engine/sluice.h"
#include "kernels/kernel_table.h"
#include "storage/aligned_buffer.h"
#include "storage/result.h"

namespace sluice {

struct KvShape {
  std::size_t context = 0;  // positions
  std::size_t chunk = 64;   // positions that a ring takes at a time
  KvFormat format = KvFormat::kF16;
};

class KvCache {
 public:
  static std::size_t Bytes(const ModelConfig& config, const KvShape& shape);
  // Returns: kNoMemory.
  static Result<KvCache> Create(const ModelConfig& config,
                                const KvShape& shape);

  std::size_t context() const { return shape_.context; }
  std::size_t chunk() const { return shape_.chunk; }
  kernels::KvFormat format() const;
  std::size_t row_bytes() const { return row_bytes_; }
  // Rows of each head of `layer`, whole groups of keys: position p is row p mod
  // this.
  std::size_t rows(std::size_t layer) const {
    return (begin_[layer + 1] - begin_[layer]) / kv_heads_;
  }
  // The rows of one head, row_bytes() apart; keys by groups of as many bytes.
  std::byte* keys(std::size_t layer, std::size_t head) {
    return buffer_.data() + Row(layer, head) * row_bytes_;
  }
  std::byte* values(std::size_t layer, std::size_t head) {
    return buffer_.data() + (begin_.back() + Row(layer, head)) * row_bytes_;
  }
  // Whether a token at `position` still finds all that it sees when the
  // positions before `written` have been written.
  bool Holds(std::size_t position, std::size_t written) const;

 private:
  KvCache() = default;
  std::size_t Row(std::size_t layer, std::size_t head) const {
    return begin_[layer] + head * rows(layer);
  }

  storage::AlignedBuffer buffer_;   // keys of all layers, then values
  std::vector<std::size_t> begin_;  // first row of each layer, and the end
  std::size_t kv_heads_ = 0;
  std::size_t row_bytes_ = 0;
  std::size_t window_ = 0;  // 0: no layer has one
  std::size_t ring_ = 0;    // rows of a head in layers that have one
  KvShape shape_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_KV_CACHE_H_
