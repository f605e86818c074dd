// WindowRunner: a model that is run over the same windows of a text again and
// again, each time with other experts as their base planes, and from the first
// layer on that this changes.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_WINDOW_RUNNER_H_
#define SLUICE_ENGINE_WINDOW_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "engine/engine_impl.h"
#include "engine/kv_cache.h"
#include "engine/lowered_experts.h"
#include "engine/token_distribution.h"
#include "engine/transformer.h"
#include "storage/aligned_buffer.h"

namespace sluice {

class WindowRunner {
 public:
  // Bytes that a runner of windows of `window` tokens allocates beside the
  // engine's K/V cache.
  static std::uint64_t Bytes(const ModelConfig& config, std::size_t window);
  // `engine`, of a model with planes and of a context of `window`, must outlive
  // it and be used by nothing else.
  // Returns: kNoMemory.
  static Result<WindowRunner> Create(EngineImpl& engine, std::size_t window);

  // As LoweredExperts::SetLow.
  void SetLow(std::vector<bool> low) { lowered_->SetLow(std::move(low)); }
  void ObserveRoutes(MoeLayer::RouteObserver observer) {
    transformer_->ObserveRoutes(std::move(observer));
  }
  // Called after each chunk with the tokens that went through and of how many
  // layers; returning false cancels. May be empty.
  using Progress = std::function<bool(std::size_t tokens, std::size_t layers)>;
  void ReportProgress(Progress progress) { progress_ = std::move(progress); }

  // The loss of each token of `window` but its first, in `losses`. With `keep`
  // the inputs of all layers and what was expected stay for Rerun.
  // Returns: as Transformer::Forward.
  Result<void> Run(std::span<const TokenId> window, bool keep,
                   std::vector<double>& losses);
  // Likewise for the window of the last Run, which kept, with other experts low
  // in layers from `first` on; in `divergences`, how far what is expected of
  // each token is from what that Run expected.
  Result<void> Rerun(std::uint32_t first, std::vector<double>& losses,
                     std::vector<double>& divergences);

  // The weights of the experts `ids`, as many as a token uses: `visit(index in
  // ids, weights)`. Returns: as ExpertSource::NextWave.
  Result<void> VisitExperts(
      std::uint16_t layer, std::span<const std::uint16_t> ids,
      const std::function<void(std::size_t, const storage::ExpertView&)>&
          visit);

 private:
  WindowRunner(EngineImpl& engine, std::size_t window, KvCache cache,
               storage::AlignedBuffer states);

  // [embedding] floats of each token from `position` on: layer `layer`'s input.
  std::span<float> States(std::size_t layer, std::size_t position,
                          std::size_t count);
  Result<void> Chunk(std::uint32_t first, std::size_t position,
                     std::size_t count, bool keep);
  // Called with the logits that predict token `i` + 1 of the text, on any
  // thread of the pool.
  using RowVisitor =
      std::function<void(std::size_t i, std::span<const float> logits)>;
  Result<void> Chunks(std::uint32_t first, bool keep, const RowVisitor& visit);
  void VisitLogits(std::size_t position, std::size_t count,
                   const RowVisitor& visit);

  EngineImpl* engine_;
  std::size_t window_;
  KvCache cache_;
  storage::AlignedBuffer states_;  // [layers, window, embedding] floats
  std::unique_ptr<LoweredExperts> lowered_;
  std::unique_ptr<Transformer> transformer_;
  Progress progress_;
  std::vector<TokenId> text_;                // of the last Run
  std::vector<TokenDistribution> expected_;  // of the last Run that kept
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_WINDOW_RUNNER_H_
