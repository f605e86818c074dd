// SessionImpl: a position in the context, the K/V behind it, and the two ways
// of moving it: evaluating given tokens and generating new ones.
//
// Thread safety: thread-compatible. Must not outlive its engine.
#ifndef SLUICE_ENGINE_SESSION_IMPL_H_
#define SLUICE_ENGINE_SESSION_IMPL_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine_impl.h"
#include "engine/kv_cache.h"
#include "engine/sluice.h"

namespace sluice {

class SessionImpl final : public Session {
 public:
  SessionImpl(EngineImpl& engine, KvCache cache)
      : engine_(engine), cache_(std::move(cache)) {}
  ~SessionImpl() override { engine_.SessionEnded(); }

  Result<GenerateResult> Generate(const GenerateRequest& request) override;
  Result<void> Evaluate(
      std::span<const TokenId> tokens,
      const std::function<bool(std::size_t, std::span<const float>)>& visit)
      override;
  std::size_t position() const override { return history_.size(); }
  std::size_t context() const override { return cache_.context(); }
  void Reset() override {
    history_.clear();
    held_ = 0;
  }

 private:
  Result<void> CheckTokens(std::span<const TokenId> tokens) const;
  // Runs the part of the history that the cache has lost again.
  Result<void> Recover();
  // Goes back to the first `start` tokens after an error.
  void Undo(std::size_t start);
  // One chunk through the model, after the tokens that the cache holds; the
  // last `outputs` of it all the way.
  Result<void> Run(RoutingPhase phase, std::span<const TokenId> tokens,
                   std::size_t outputs,
                   const std::function<bool(std::size_t)>& after_layer);
  // As Run; the tokens join the history.
  Result<void> Forward(RoutingPhase phase, std::span<const TokenId> tokens,
                       std::size_t outputs,
                       const std::function<bool(std::size_t)>& after_layer);
  // Returns the row of the workspace that the last token's hidden state has.
  Result<std::size_t> Prefill(const GenerateRequest& request);
  Result<void> Decode(const GenerateRequest& request,
                      std::span<const float> logits, GenerateResult& result);

  EngineImpl& engine_;
  KvCache cache_;
  std::vector<TokenId> history_;  // tokens in the context
  std::size_t held_ = 0;          // how many of them the cache holds: all,
                                  // unless an error came after windowed layers
                                  // had overwritten what they saw
  std::size_t written_ = 0;       // end of the last positions written
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_SESSION_IMPL_H_
