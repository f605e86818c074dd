// Transformer: the forward pass, one chunk of tokens at a time.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_TRANSFORMER_H_
#define SLUICE_ENGINE_TRANSFORMER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "engine/chunk.h"
#include "engine/expert_source.h"
#include "engine/kv_cache.h"
#include "engine/model_config.h"
#include "engine/moe_layer.h"
#include "engine/products.h"
#include "engine/tokenizer.h"
#include "engine/weights.h"
#include "engine/workspace.h"

namespace sluice {

class Transformer {
 public:
  // All arguments must outlive the transformer.
  Transformer(const Compute& compute, const ModelConfig& config,
              const Weights& weights, ExpertSource& source, Workspace& work);

  // Runs the tokens of a chunk. Their keys and values join the cache; the
  // hidden states of its outputs stay in the workspace until the next call: the
  // last layer computes no others, and asks for no other token's experts.
  // `after_layer(layers done)` may be empty; returning false cancels.
  // REQUIRES: 0 < chunk.tokens <= work.chunk; as many ids in `tokens`, within
  // the vocabulary; position + tokens <= cache.context().
  // Returns: kIo, kInternal, kCancelled.
  Result<void> Forward(std::span<const TokenId> tokens, const Chunk& chunk,
                       KvCache& cache,
                       const std::function<bool(std::size_t)>& after_layer);

  // As Forward, from layer `first` on, whose input [tokens, embedding] is in
  // work.x: of tokens that layers before it have seen with the same cache.
  Result<void> Resume(std::uint32_t first, const Chunk& chunk, KvCache& cache);

  // As MoeLayer::base_uses.
  std::uint64_t base_uses() const { return moe_.base_uses(); }

  // As MoeLayer::ObserveRoutes.
  void ObserveRoutes(MoeLayer::RouteObserver observer) {
    moe_.ObserveRoutes(std::move(observer));
  }

  // As MoeLayer::ObserveInputs.
  void ObserveInputs(MoeLayer::InputObserver observer) {
    moe_.ObserveInputs(std::move(observer));
  }

  // Logits of `count` of the last chunk's outputs, from output `first` on:
  // [count, vocabulary], valid until the next call.
  // REQUIRES: count <= work.logit_rows.
  std::span<const float> Logits(std::size_t first, std::size_t count);

 private:
  Result<void> RunLayers(std::uint32_t first, const Chunk& chunk,
                         KvCache& cache,
                         const std::function<bool(std::size_t)>& after_layer);
  Result<void> RunLayer(std::uint32_t i, const Chunk& chunk, KvCache& cache);
  void LookAhead(std::uint32_t next, const Chunk& chunk);
  // The chunk as layer `i` sees it: all are outputs, unless it is the last.
  Chunk AtLayer(std::uint32_t i, const Chunk& chunk) const;
  void Embed(std::span<const TokenId> tokens);
  // work.normed = norm(work.x) of tokens [first, first + count), from row 0 on.
  void Norm(std::span<const float> weight, std::size_t first,
            std::size_t count);

  const Compute& compute_;
  const ModelConfig& config_;
  const Weights& weights_;
  Workspace& work_;
  MoeLayer moe_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_TRANSFORMER_H_
