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

  // Runs `tokens` at positions [position, position + tokens.size()). Their keys
  // and values join the cache; their hidden states stay in the workspace until
  // the next call. `after_layer(layers done)` may be empty; returning false
  // cancels.
  // REQUIRES: 0 < tokens.size() <= work.chunk; ids within the vocabulary;
  // position + tokens.size() <= cache.context().
  // Returns: kIo, kInternal, kCancelled.
  Result<void> Forward(std::span<const TokenId> tokens, std::size_t position,
                       KvCache& cache,
                       const std::function<bool(std::size_t)>& after_layer);

  // As Forward, from layer `first` on, whose input [count, embedding] is in
  // work.x: of tokens that layers before it have seen with the same cache.
  Result<void> Resume(std::uint32_t first, std::size_t count,
                      std::size_t position, KvCache& cache);

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

  // Logits of `count` tokens of the last chunk, from its token `first` on:
  // [count, vocabulary], valid until the next call.
  // REQUIRES: count <= work.logit_rows.
  std::span<const float> Logits(std::size_t first, std::size_t count);

 private:
  Result<void> RunLayers(std::uint32_t first, std::size_t count,
                         std::size_t position, KvCache& cache,
                         const std::function<bool(std::size_t)>& after_layer);
  Result<void> EachLayer(std::uint32_t first, std::size_t count,
                         std::size_t position, KvCache& cache,
                         const std::function<bool(std::size_t)>& after_layer);
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
