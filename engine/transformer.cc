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
    std::span<const TokenId> tokens, std::size_t position, KvCache& cache,
    const std::function<bool(std::size_t)>& after_layer) {
  Embed(tokens);
  return RunLayers(0, tokens.size(), position, cache, after_layer);
}

Result<void> Transformer::Resume(std::uint32_t first, std::size_t count,
                                 std::size_t position, KvCache& cache) {
  return RunLayers(first, count, position, cache, {});
}

Result<void> Transformer::RunLayers(
    std::uint32_t first, std::size_t count, std::size_t position,
    KvCache& cache, const std::function<bool(std::size_t)>& after_layer) {
  PrepareRope(config_, position, count, work_);
  const Result<void> ran =
      EachLayer(first, count, position, cache, after_layer);
  compute_.clock.Enter(Phase::kOutside);
  return ran;
}

Result<void> Transformer::EachLayer(
    std::uint32_t first, std::size_t count, std::size_t position,
    KvCache& cache, const std::function<bool(std::size_t)>& after_layer) {
  const std::span<const LayerWeights> layers = weights_.layers();
  for (std::uint32_t i = first; i < config_.layers; ++i) {
    const LayerWeights& layer = layers[i];
    const auto route = [&](std::span<const float> input) {
      compute_.clock.Enter(Phase::kRouter);
      return moe_.Route(layer, static_cast<std::uint16_t>(i), count, input);
    };
    const bool early = config_.router_input == RouterInput::kLayerInput;
    if (early) SLUICE_TRY(route(work_.x));
    compute_.clock.Enter(Phase::kAttention);
    RunAttention(compute_, config_, layer, i, position, count, cache, work_);
    Norm(layer.ffn_norm, 0, count);
    if (!early) SLUICE_TRY(route(work_.normed));
    moe_.LookAhead(layers.subspan(i + 1), static_cast<std::uint16_t>(i + 1),
                   count);
    SLUICE_TRY(moe_.Run(count));
    if (after_layer && !after_layer(i + std::size_t{1})) {
      return Fail(ErrorCode::kCancelled, "cancelled");
    }
  }
  return {};
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
