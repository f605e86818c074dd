// Attention: the first half of a layer. Grouped-query attention, as the
// configuration says with a norm on each query and key head, rotary positions
// and a window over the last positions (Yang et al. 2025, Song et al. 2025).
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_ATTENTION_H_
#define SLUICE_ENGINE_ATTENTION_H_

#include <cstddef>

#include "engine/chunk.h"
#include "engine/kv_cache.h"
#include "engine/model_config.h"
#include "engine/products.h"
#include "engine/weights.h"
#include "engine/workspace.h"

namespace sluice {

// Fills work.rope_cos and rope_sin for positions [position, position + tokens).
void PrepareRope(const ModelConfig& config, std::size_t position,
                 std::size_t tokens, Workspace& work);

// Keys and values of the chunk, whose hidden states are work.x, join the cache.
// x + attention(norm(x)) of its outputs takes the first rows of work.x.
// REQUIRES: PrepareRope for the same positions; position + tokens <= context.
void RunAttention(const Compute& compute, const ModelConfig& config,
                  const LayerWeights& weights, std::size_t layer,
                  const Chunk& chunk, KvCache& cache, Workspace& work);

}  // namespace sluice

#endif  // SLUICE_ENGINE_ATTENTION_H_
