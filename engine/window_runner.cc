#include "engine/window_runner.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "engine/likelihood.h"

namespace sluice {

namespace {

std::uint64_t StateBytes(const ModelConfig& config, std::size_t window) {
  return storage::AlignUp(std::uint64_t{config.layers} * window *
                          config.embedding * sizeof(float));
}

}  // namespace

std::uint64_t WindowRunner::Bytes(const ModelConfig& config,
                                  std::size_t window) {
  return StateBytes(config, window) + window * sizeof(TokenDistribution);
}

Result<WindowRunner> WindowRunner::Create(EngineImpl& engine,
                                          std::size_t window) {
  SLUICE_ASSIGN(
      KvCache cache,
      KvCache::Create(engine.config(),
                      {.context = window, .format = engine.plan().kv_format}));
  SLUICE_ASSIGN(auto states, storage::AlignedBuffer::Allocate(
                                 StateBytes(engine.config(), window)));
  return WindowRunner(engine, window, std::move(cache), std::move(states));
}

WindowRunner::WindowRunner(EngineImpl& engine, std::size_t window,
                           KvCache cache, storage::AlignedBuffer states)
    : engine_(&engine),
      window_(window),
      cache_(std::move(cache)),
      states_(std::move(states)),
      lowered_(std::make_unique<LoweredExperts>(engine.experts(),
                                                engine.config().experts)),
      transformer_(std::make_unique<Transformer>(
          engine.compute(), engine.config(), engine.weights(), *lowered_,
          engine.workspace())) {}

std::span<float> WindowRunner::States(std::size_t layer, std::size_t position,
                                      std::size_t count) {
  const std::size_t width = engine_->config().embedding;
  float* const all = reinterpret_cast<float*>(states_.data());
  return {all + (layer * window_ + position) * width, count * width};
}

Result<void> WindowRunner::Run(std::span<const TokenId> window, bool keep,
                               std::vector<double>& losses) {
  text_.assign(window.begin(), window.end());
  losses.resize(text_.size() - 1);
  if (keep) expected_.resize(losses.size());
  return Chunks(0, keep, [&](std::size_t i, std::span<const float> logits) {
    losses[i] = NegativeLogLikelihood(logits, text_[i + 1]);
    if (keep) expected_[i] = DistributionOf(logits);
  });
}

Result<void> WindowRunner::Rerun(std::uint32_t first,
                                 std::vector<double>& losses,
                                 std::vector<double>& divergences) {
  losses.resize(text_.size() - 1);
  divergences.resize(losses.size());
  return Chunks(first, /*keep=*/false,
                [&](std::size_t i, std::span<const float> logits) {
                  losses[i] = NegativeLogLikelihood(logits, text_[i + 1]);
                  divergences[i] = Divergence(expected_[i], logits);
                });
}

Result<void> WindowRunner::Chunks(std::uint32_t first, bool keep,
                                  const RowVisitor& visit) {
  std::optional<PromptLoan> room;
  for (std::size_t done = 0; done < text_.size();) {
    engine_->LendRoom(text_.size() - done, room);
    const std::size_t count =
        std::min(text_.size() - done, engine_->workspace().chunk);
    SLUICE_TRY(Chunk(first, done, count, keep));
    VisitLogits(done, count, visit);
    done += count;
    if (progress_ && !progress_(count, engine_->config().layers - first)) {
      return Fail(ErrorCode::kCancelled, "cancelled");
    }
  }
  return {};
}

// Runs tokens [position, position + count) of the text from layer `first` on.
Result<void> WindowRunner::Chunk(std::uint32_t first, std::size_t position,
                                 std::size_t count, bool keep) {
  const std::span<float> x = engine_->workspace().x;
  const sluice::Chunk chunk = {
      .position = position, .tokens = count, .outputs = count};
  if (first > 0) {
    std::ranges::copy(States(first, position, count), x.begin());
    return transformer_->Resume(first, chunk, cache_);
  }
  return transformer_->Forward(
      std::span<const TokenId>(text_).subspan(position, count), chunk, cache_,
      [&](std::size_t layer) {
        if (!keep || layer == engine_->config().layers) return true;
        const std::span<float> states = States(layer, position, count);
        std::ranges::copy(x.first(states.size()), states.begin());
        return true;
      });
}

void WindowRunner::VisitLogits(std::size_t position, std::size_t count,
                               const RowVisitor& visit) {
  const std::size_t vocabulary = engine_->config().vocabulary;
  // The last token of the text predicts nothing that is known.
  const std::size_t scored = std::min(count, text_.size() - position - 1);
  for (std::size_t i = 0; i < scored;) {
    const std::size_t rows =
        std::min(scored - i, engine_->workspace().logit_rows);
    const std::span<const float> logits = transformer_->Logits(i, rows);
    engine_->compute().pool.For(rows, [&](std::size_t row) {
      visit(position + i + row, logits.subspan(row * vocabulary, vocabulary));
    });
    i += rows;
  }
}

Result<void> WindowRunner::VisitExperts(
    std::uint16_t layer, std::span<const std::uint16_t> ids,
    const std::function<void(std::size_t, const storage::ExpertView&)>& visit) {
  ExpertSource& source = engine_->experts();
  const std::vector<float> weights(ids.size(), 0.0F);
  SLUICE_TRY(source.Begin(
      {.layer = layer, .experts = ids, .routes = ids, .weights = weights}));
  while (true) {
    SLUICE_ASSIGN(const std::span<const ReadyExpert> wave, source.NextWave());
    if (wave.empty()) return {};
    for (const ReadyExpert& ready : wave) visit(ready.index, ready.weights);
  }
}

}  // namespace sluice
