#include "engine/attention.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace sluice {
namespace {

// Q, K and V of the normed input.
void Project(const Compute& compute, const ModelConfig& config,
             const LayerWeights& weights, std::size_t tokens, Workspace& work) {
  work.input.Set(work.normed.data(), tokens, config.embedding);
  const auto product = [&](const storage::MatrixView& matrix, float* y) {
    return Product{.weights = &matrix,
                   .x = work.input.For(compute, matrix, Precision::kFine),
                   .tokens = tokens,
                   .y = y,
                   .y_stride = matrix.rows};
  };
  const std::array products = {product(weights.q, work.q.data()),
                               product(weights.k, work.k.data()),
                               product(weights.v, work.v.data())};
  RunProducts(compute, products);
}

// Norms and rotates one token's query and key heads, where the layer does so,
// and appends its key and value to the cache at `at`.
void Place(const Compute& compute, const ModelConfig& config,
           const LayerWeights& weights, std::size_t layer, std::size_t t,
           std::size_t at, KvCache& cache, Workspace& work) {
  const std::size_t dim = config.head_dim;
  const kernels::KernelTable& kernels = compute.kernels;
  const float* const cos = &work.rope_cos[t * dim / 2];
  const float* const sin = &work.rope_sin[t * dim / 2];
  const bool rotates = config.Rotates(layer);
  const auto norm_and_rotate = [&](float* head, const float* norm) {
    if (config.head_norms) {
      kernels.rms_norm(head, norm, dim, config.rms_epsilon, head);
    }
    if (rotates) kernels.rope_neox(head, dim, cos, sin);
  };
  for (std::size_t h = 0; h < config.heads; ++h) {
    norm_and_rotate(&work.q[(t * config.heads + h) * dim],
                    weights.q_norm.data());
  }
  for (std::size_t h = 0; h < config.kv_heads; ++h) {
    float* const key = &work.k[(t * config.kv_heads + h) * dim];
    norm_and_rotate(key, weights.k_norm.data());
    kernels.to_f16(key, dim, cache.keys(layer, h) + at * dim);
    kernels.to_f16(&work.v[(t * config.kv_heads + h) * dim], dim,
                   cache.values(layer, h) + at * dim);
  }
}

// One token and K/V head: softmax(q k / sqrt(dim)) v over what it may see of
// `length` positions. Blocks of positions are counted from the first one that
// it sees, so a token's result depends on its position alone.
void Attend(const Compute& compute, const ModelConfig& config,
            std::size_t layer, std::size_t t, std::size_t kv_head,
            std::size_t length, KvCache& cache, Workspace& work) {
  const std::size_t dim = config.head_dim;
  const std::size_t group = config.heads / config.kv_heads;
  const std::size_t first = (t * config.heads + kv_head * group) * dim;
  const std::size_t seen = config.Windowed(layer)
                               ? std::min<std::size_t>(length, config.window)
                               : length;
  const std::size_t from = (length - seen) * dim;
  compute.kernels.attention({
      .q = &work.q[first],
      .group = group,
      .head_dim = dim,
      .k = cache.keys(layer, kv_head) + from,
      .v = cache.values(layer, kv_head) + from,
      .kv_stride = dim,
      .length = seen,
      .scale = 1.0F / std::sqrt(static_cast<float>(dim)),
      .out = &work.attended[first],
  });
}

void ProjectOutput(const Compute& compute, const ModelConfig& config,
                   const LayerWeights& weights, std::size_t tokens,
                   Workspace& work) {
  work.input.Set(work.attended.data(), tokens, config.q_width());
  const Product product = {
      .weights = &weights.output,
      .x = work.input.For(compute, weights.output, Precision::kFine),
      .tokens = tokens,
      .y = work.projected.data(),
      .y_stride = config.embedding};
  RunProducts(compute, {&product, 1});
}

}  // namespace

void PrepareRope(const ModelConfig& config, std::size_t position,
                 std::size_t tokens, Workspace& work) {
  const std::size_t half = config.head_dim / 2;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t i = 0; i < half; ++i) {
      const double frequency =
          std::pow(config.rope_base, -2.0 * static_cast<double>(i) /
                                         static_cast<double>(config.head_dim));
      const double angle = static_cast<double>(position + t) * frequency;
      work.rope_cos[t * half + i] = static_cast<float>(std::cos(angle));
      work.rope_sin[t * half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void RunAttention(const Compute& compute, const ModelConfig& config,
                  const LayerWeights& weights, std::size_t layer,
                  std::size_t position, std::size_t tokens, KvCache& cache,
                  Workspace& work) {
  const std::size_t width = config.embedding;
  const kernels::KernelTable& kernels = compute.kernels;
  compute.pool.For(tokens, [&](std::size_t t) {
    kernels.rms_norm(&work.x[t * width], weights.attention_norm.data(), width,
                     config.rms_epsilon, &work.normed[t * width]);
  });
  Project(compute, config, weights, tokens, work);
  compute.pool.For(tokens, [&](std::size_t t) {
    Place(compute, config, weights, layer, t, position + t, cache, work);
  });
  compute.pool.For(tokens * config.kv_heads, [&](std::size_t item) {
    const std::size_t t = item / config.kv_heads;
    Attend(compute, config, layer, t, item % config.kv_heads, position + t + 1,
           cache, work);
  });
  ProjectOutput(compute, config, weights, tokens, work);
  compute.pool.For(tokens, [&](std::size_t t) {
    kernels.add(&work.projected[t * width], width, &work.x[t * width]);
  });
}

}  // namespace sluice
