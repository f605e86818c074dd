#include "engine/transformer.h"

#include "engine/attention.h"

namespace sluice {

Transformer::Transformer(const Compute& compute, const ModelConfig& config,
                         const Weights& weights, ExpertSource& source,
                         Workspace& work)
    : compute_(compute),
      config_(config),
      weights_(weights),
      work_(work),
      moe_(compute, config, source, work) {}

Result<void> Transformer::Forward(
    std::span<const TokenId> tokens, const Chunk& chunk, KvCache& cache,
    const std::function<bool(std::size_t)>& after_layer) {
  Embed(tokens);
  return RunLayers(0, chunk, cache, after_layer);
}

Result<void> Transformer::Resume(std::uint32_t first, const Chunk& chunk,
                                 KvCache& cache) {
  return RunLayers(first, chunk, cache, {});
}

Result<void> Transformer::RunLayers(
    std::uint32_t first, const Chunk& chunk, KvCache& cache,
    const std::function<bool(std::size_t)>& after_layer) {
  PrepareRope(config_, chunk.position, chunk.tokens, work_);
  for (std::uint32_t i = first; i < config_.layers; ++i) {
    Result<void> ran = RunLayer(i, chunk, cache);
    compute_.clock.Enter(Phase::kOutside);
    SLUICE_TRY(std::move(ran));
    if (after_layer && !after_layer(i + std::size_t{1})) {
      return Fail(ErrorCode::kCancelled, "cancelled");
    }
  }
  return {};
}

Chunk Transformer::AtLayer(std::uint32_t i, const Chunk& chunk) const {
  Chunk seen = chunk;
  if (i + 1 < config_.layers) seen.outputs = chunk.tokens;
  return seen;
}

Result<void> Transformer::RunLayer(std::uint32_t i, const Chunk& whole,
                                   KvCache& cache) {
  const LayerWeights& layer = weights_.layers()[i];
  const Chunk chunk = AtLayer(i, whole);
  const auto route = [&](std::span<const float> input) -> Result<void> {
    if (chunk.outputs == 0) return {};
    compute_.clock.Enter(Phase::kRouter);
    return moe_.Route(layer, static_cast<std::uint16_t>(i), chunk.outputs,
                      input);
  };
  const bool early = config_.router_input == RouterInput::kLayerInput;
  if (early) {
    SLUICE_TRY(route(work_.x.subspan(chunk.skipped() * config_.embedding)));
  }
  compute_.clock.Enter(Phase::kAttention);
  RunAttention(compute_, config_, layer, i, chunk, cache, work_);
  if (chunk.outputs == 0) return {};
  Norm(layer.ffn_norm, 0, chunk.outputs);
  if (!early) SLUICE_TRY(route(work_.normed));
  LookAhead(i + 1, whole);
  return moe_.Run(chunk.outputs);
}

// Of layers from `next` on, which see this layer's outputs or the last of them.
void Transformer::LookAhead(std::uint32_t next, const Chunk& chunk) {
  const std::size_t asked = config_.layers - (chunk.outputs == 0 ? 1 : 0);
  if (next >= asked) return;
  const std::size_t tokens = AtLayer(next, chunk).outputs;
  moe_.LookAhead(weights_.layers().first(asked).subspan(next),
                 static_cast<std::uint16_t>(next), chunk.tokens - tokens,
                 tokens);
}

void Transformer::Embed(std::span<const TokenId> tokens) {
  const storage::MatrixView& table = weights_.embedding();
  const auto dequantize =
      compute_.kernels.dequantize[static_cast<std::size_t>(table.type)];
  compute_.pool.For(tokens.size(), [&](std::size_t t) {
    const auto id = static_cast<std::size_t>(tokens[t]);
    dequantize(table.data + id * table.row_bytes, config_.embedding,
               &work_.x[t * config_.embedding]);
  });
}

void Transformer::Norm(std::span<const float> weight, std::size_t first,
                       std::size_t count) {
  const std::size_t width = config_.embedding;
  compute_.pool.For(count, [&](std::size_t t) {
    compute_.kernels.rms_norm(&work_.x[(first + t) * width], weight.data(),
                              width, config_.rms_epsilon,
                              &work_.normed[t * width]);
  });
}

std::span<const float> Transformer::Logits(std::size_t first,
                                           std::size_t count) {
  const std::size_t width = config_.embedding;
  compute_.clock.Enter(Phase::kOutput);
  Norm(weights_.output_norm(), first, count);
  work_.input.Set(work_.normed.data(), count, width);
  const Product product = {
      .weights = &weights_.output(),
      .x = work_.input.For(compute_, weights_.output(), Precision::kFine),
      .tokens = count,
      .y = work_.logits.data(),
      .y_stride = config_.vocabulary};
  RunProducts(compute_, {&product, 1});
  compute_.clock.Enter(Phase::kOutside);
  return work_.logits.first(count * config_.vocabulary);
}

}  // namespace sluice
