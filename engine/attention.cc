#include "engine/attention.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/kv_rows.h"

namespace sluice {
namespace {

// K and V of the normed input, and Q of what is an output.
void Project(const Compute& compute, const ModelConfig& config,
             const LayerWeights& weights, const Chunk& chunk, Workspace& work) {
  work.input.Set(work.normed.data(), chunk.tokens, config.embedding);
  // Of all tokens but the first `skipped`.
  const auto product = [&](const storage::MatrixView& matrix,
                           std::size_t skipped, std::span<float> y) {
    ActivationView x = work.input.For(compute, matrix, Precision::kPlain);
    x.data += skipped * x.stride;
    return Product{.weights = &matrix,
                   .x = x,
                   .tokens = chunk.tokens - skipped,
                   .y = &y[skipped * matrix.rows],
                   .y_stride = matrix.rows};
  };
  std::array products = {product(weights.k, 0, work.k),
                         product(weights.v, 0, work.v), Product()};
  if (chunk.outputs == 0) return RunProducts(compute, {products.data(), 2});
  products[2] = product(weights.q, chunk.skipped(), work.q);
  RunProducts(compute, products);
}

// Of token t and one K/V head: norms and rotates the query heads that share it,
// if the token is an output, and the key, where the layer does so, and puts the
// key and the value into the cache.
void Place(const Compute& compute, const ModelConfig& config,
           const LayerWeights& weights, std::size_t layer, const Chunk& chunk,
           std::size_t t, std::size_t kv_head, KvCache& cache,
           Workspace& work) {
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
  const std::size_t group =
      t < chunk.skipped() ? 0 : config.heads / config.kv_heads;
  for (std::size_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    norm_and_rotate(&work.q[(t * config.heads + h) * dim],
                    weights.q_norm.data());
  }
  const std::size_t at = (t * config.kv_heads + kv_head) * dim;
  norm_and_rotate(&work.k[at], weights.k_norm.data());
  const std::size_t row = (chunk.position + t) % cache.rows(layer);
  const std::size_t place = row % kernels::kKeyGroup;
  kernels::StoreKvKey(
      kernels, cache.format(), &work.k[at], dim,
      cache.keys(layer, kv_head) + (row - place) * cache.row_bytes(), place);
  kernels::StoreKvRow(kernels, cache.format(), &work.v[at], dim,
                      cache.values(layer, kv_head) + row * cache.row_bytes());
}

// Tokens whose attention is computed together: as many as share a read of K and
// V.
std::size_t QueriesTogether(const ModelConfig& config) {
  const std::size_t queries =
      kernels::kAttentionRows * config.kv_heads / config.heads;
  return std::max<std::size_t>(1, queries);
}

// The tokens from t on, before `end`, that go together, and one K/V head:
// softmax(q k / sqrt(dim)) v over what each may see of the positions up to its
// own, the first at `position`.
void Attend(const Compute& compute, const ModelConfig& config,
            std::size_t layer, std::size_t t, std::size_t end,
            std::size_t kv_head, std::size_t position, KvCache& cache,
            Workspace& work) {
  const std::size_t dim = config.head_dim;
  const std::size_t group = config.heads / config.kv_heads;
  const std::size_t queries = std::min(QueriesTogether(config), end - t);
  const std::size_t first = (t * config.heads + kv_head * group) * dim;
  kernels::AttentionArgs args = {
      .q = &work.q[first],
      .queries = queries,
      .query_stride = config.heads * dim,
      .group = group,
      .head_dim = dim,
      .format = cache.format(),
      .k = cache.keys(layer, kv_head),
      .v = cache.values(layer, kv_head),
      .kv_stride = cache.row_bytes(),
      .ring = cache.rows(layer),
      .length = position + queries,
      .scale = 1.0F / std::sqrt(static_cast<float>(dim)),
      .out = &work.attended[first],
  };
  if (config.Windowed(layer)) args.window = config.window;
  // Behind a head's last tokens comes the next head.
  if (t + queries == end && kv_head + 1 < config.kv_heads) {
    args.next = static_cast<std::size_t>(cache.keys(layer, kv_head + 1) -
                                         cache.keys(layer, kv_head));
  }
  compute.kernels.attention(args);
}

// Tokens [first, end) of a chunk at `position` and all K/V heads. One head's
// tokens follow each other, so that its K and V stay in a near cache.
void AttendAll(const Compute& compute, const ModelConfig& config,
               std::size_t layer, std::size_t position, std::size_t first,
               std::size_t end, KvCache& cache, Workspace& work) {
  if (first >= end) return;
  const std::size_t together = QueriesTogether(config);
  const std::size_t runs = (end - first + together - 1) / together;
  compute.pool.For(config.kv_heads * runs, [&](std::size_t item) {
    const std::size_t t = first + item % runs * together;
    Attend(compute, config, layer, t, end, item / runs, position + t, cache,
           work);
  });
}

// Attention of the chunk, whose projections are there.
void PlaceAndAttend(const Compute& compute, const ModelConfig& config,
                    const LayerWeights& weights, std::size_t layer,
                    const Chunk& chunk, KvCache& cache, Workspace& work) {
  // A ring has room for so many new tokens and what the first of them sees.
  const std::size_t part =
      config.Windowed(layer) ? cache.chunk() : chunk.tokens;
  for (std::size_t first = 0; first < chunk.tokens; first += part) {
    const std::size_t end = std::min(first + part, chunk.tokens);
    compute.pool.For(end - first, [&](std::size_t i) {
      for (std::size_t head = 0; head < config.kv_heads; ++head) {
        Place(compute, config, weights, layer, chunk, first + i, head, cache,
              work);
      }
    });
    AttendAll(compute, config, layer, chunk.position,
              std::max(first, chunk.skipped()), end, cache, work);
  }
}

// The same of a single output, with one parallel loop instead of two.
void PlaceAndAttendOne(const Compute& compute, const ModelConfig& config,
                       const LayerWeights& weights, std::size_t layer,
                       const Chunk& chunk, KvCache& cache, Workspace& work) {
  compute.pool.For(config.kv_heads, [&](std::size_t head) {
    Place(compute, config, weights, layer, chunk, 0, head, cache, work);
    Attend(compute, config, layer, 0, 1, head, chunk.position, cache, work);
  });
}

// The outputs' projections, from row 0 on.
void ProjectOutput(const Compute& compute, const ModelConfig& config,
                   const LayerWeights& weights, const Chunk& chunk,
                   Workspace& work) {
  work.input.Set(&work.attended[chunk.skipped() * config.q_width()],
                 chunk.outputs, config.q_width());
  const Product product = {
      .weights = &weights.output,
      .x = work.input.For(compute, weights.output, Precision::kFine),
      .tokens = chunk.outputs,
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
                  const Chunk& chunk, KvCache& cache, Workspace& work) {
  const std::size_t width = config.embedding;
  const kernels::KernelTable& kernels = compute.kernels;
  compute.pool.For(chunk.tokens, [&](std::size_t t) {
    kernels.rms_norm(&work.x[t * width], weights.attention_norm.data(), width,
                     config.rms_epsilon, &work.normed[t * width]);
  });
  Project(compute, config, weights, chunk, work);
  if (chunk.tokens == 1 && chunk.outputs == 1) {
    PlaceAndAttendOne(compute, config, weights, layer, chunk, cache, work);
  } else {
    PlaceAndAttend(compute, config, weights, layer, chunk, cache, work);
  }
  if (chunk.outputs == 0) return;
  ProjectOutput(compute, config, weights, chunk, work);
  if (const std::size_t skipped = chunk.skipped(); skipped > 0) {
    std::ranges::copy(work.x.subspan(skipped * width, chunk.outputs * width),
                      work.x.begin());
  }
  compute.pool.For(chunk.outputs, [&](std::size_t t) {
    kernels.add(&work.projected[t * width], width, &work.x[t * width]);
  });
}

}  // namespace sluice
