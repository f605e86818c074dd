#include "engine/session_impl.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace sluice {
namespace {

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
};

}  // namespace

Result<void> SessionImpl::CheckTokens(std::span<const TokenId> tokens) const {
  if (tokens.size() > context() - position()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{} tokens do not fit in a context of {} with {} "
                            "used; shorten the text or raise the context",
                            tokens.size(), context(), position()));
  }
  for (const TokenId id : tokens) {
    if (id < 0 || static_cast<std::size_t>(id) >= engine_.vocabulary()) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("token id {} is outside the vocabulary of {}", id,
                              engine_.vocabulary()));
    }
  }
  return {};
}

Result<void> SessionImpl::Forward(
    RoutingPhase phase, std::span<const TokenId> tokens, std::size_t outputs,
    const std::function<bool(std::size_t)>& after_layer) {
  SLUICE_TRY(Run(phase, tokens, outputs, after_layer));
  history_.insert(history_.end(), tokens.begin(), tokens.end());
  return {};
}

Result<void> SessionImpl::Run(
    RoutingPhase phase, std::span<const TokenId> tokens, std::size_t outputs,
    const std::function<bool(std::size_t)>& after_layer) {
  const Stopwatch watch;
  const Chunk chunk = {
      .position = held_, .tokens = tokens.size(), .outputs = outputs};
  engine_.BeginChunk(phase, chunk);
  written_ = held_ + tokens.size();
  SLUICE_TRY(engine_.transformer().Forward(tokens, chunk, cache_, after_layer));
  held_ = written_;
  engine_.CountForward(tokens.size(), watch.Seconds());
  return {};
}

void SessionImpl::Undo(std::size_t start) {
  history_.resize(start);
  held_ = std::min(held_, start);
  if (!cache_.Holds(held_, written_)) held_ = 0;
}

Result<void> SessionImpl::Recover() {
  const std::span<const TokenId> history = history_;
  while (held_ < history.size()) {
    const std::size_t chunk =
        std::min(history.size() - held_, engine_.workspace().chunk);
    if (Result<void> ran =
            Run(RoutingPhase::kPrompt, history.subspan(held_, chunk),
                /*outputs=*/0, {});
        !ran) {
      Undo(history.size());
      return ran;
    }
  }
  return {};
}

Result<void> SessionImpl::Evaluate(
    std::span<const TokenId> tokens,
    const std::function<bool(std::size_t, std::span<const float>)>& visit) {
  SLUICE_TRY(CheckTokens(tokens));
  SLUICE_TRY(Recover());
  std::optional<PromptLoan> room;
  const std::size_t start = position();
  const std::size_t vocabulary = engine_.vocabulary();
  for (std::size_t done = 0; done < tokens.size();) {
    engine_.LendRoom(tokens.size() - done, room);
    const std::size_t chunk =
        std::min(tokens.size() - done, engine_.workspace().chunk);
    if (Result<void> ran =
            Forward(RoutingPhase::kPrompt, tokens.subspan(done, chunk),
                    /*outputs=*/chunk, {});
        !ran) {
      Undo(start);
      return ran;
    }
    for (std::size_t i = 0; i < chunk;) {
      const std::size_t rows =
          std::min(chunk - i, engine_.workspace().logit_rows);
      const auto logits = engine_.transformer().Logits(i, rows);
      for (std::size_t row = 0; row < rows; ++row, ++i) {
        if (!visit(done + i, logits.subspan(row * vocabulary, vocabulary))) {
          Undo(start);
          return Fail(ErrorCode::kCancelled, "cancelled");
        }
      }
    }
    done += chunk;
  }
  return {};
}

Result<GenerateResult> SessionImpl::Generate(const GenerateRequest& request) {
  SLUICE_TRY(request.sampler.Validate());
  SLUICE_TRY(CheckTokens(request.prompt));
  if (request.prompt.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "the prompt is empty; give at least one token");
  }
  SLUICE_TRY(Recover());
  GenerateResult result;
  result.prompt_tokens = request.prompt.size();
  const std::size_t start = position();
  const auto run = [&]() -> Result<void> {
    const Counters before = engine_.counters();
    const Stopwatch prefill;
    SLUICE_ASSIGN(const std::size_t row, Prefill(request));
    const auto logits = engine_.transformer().Logits(row, 1);
    result.prefill_seconds = prefill.Seconds();
    const Counters between = engine_.counters();
    result.prefill = between - before;
    const Stopwatch decode;
    SLUICE_TRY(Decode(request, logits, result));
    result.decode_seconds = decode.Seconds();
    result.decode = engine_.counters() - between;
    return {};
  };
  if (Result<void> ran = run(); !ran) {
    Undo(start);
    return tl::unexpected<Error>(std::move(ran).error());
  }
  return result;
}

Result<std::size_t> SessionImpl::Prefill(const GenerateRequest& request) {
  const std::span<const TokenId> prompt = request.prompt;
  const auto& progress = request.on_prefill;
  std::optional<PromptLoan> room;
  std::size_t outputs = 0;
  const std::size_t layers = engine_.config().layers;
  for (std::size_t done = 0; done < prompt.size();) {
    engine_.LendRoom(prompt.size() - done, room);
    const std::size_t chunk =
        std::min(prompt.size() - done, engine_.workspace().chunk);
    std::function<bool(std::size_t)> after_layer;
    if (progress) {
      after_layer = [&](std::size_t layer) {
        return progress(done + chunk * layer / layers, prompt.size());
      };
    }
    const bool last = done + chunk == prompt.size();
    outputs = request.whole_prompt ? chunk : last ? 1 : 0;
    SLUICE_TRY(Forward(RoutingPhase::kPrompt, prompt.subspan(done, chunk),
                       outputs, after_layer));
    done += chunk;
  }
  return room->Return(outputs - 1);
}

// Samples until something ends it, first from `logits`, the prompt's. The last
// token sampled joins the context only when another is wanted after it.
Result<void> SessionImpl::Decode(const GenerateRequest& request,
                                 std::span<const float> logits,
                                 GenerateResult& result) {
  Sampler sampler(request.sampler);
  Detokenizer detokenizer(engine_.tokenizer());
  // The text goes on from the prompt's: only then is a leading space a space.
  for (const TokenId id : request.prompt) detokenizer.Push(id);
  detokenizer.Finish();
  std::vector<TokenId> seen = history_;
  const auto finish = [&](StopReason reason) {
    result.stop = reason;
    result.text += detokenizer.Finish();
    return Result<void>{};
  };
  while (result.tokens.size() < request.max_tokens) {
    const TokenId id = sampler.Sample(logits, seen);
    if (!request.ignore_eos && engine_.tokenizer().IsEndOfGeneration(id)) {
      return finish(StopReason::kEndOfText);
    }
    seen.push_back(id);
    result.tokens.push_back(id);
    const std::string text = detokenizer.Push(id);
    result.text += text;
    if (request.on_token && !request.on_token(id, text)) {
      return finish(StopReason::kCallback);
    }
    if (result.tokens.size() == request.max_tokens) break;
    if (position() == context()) return finish(StopReason::kContextFull);
    SLUICE_TRY(Forward(RoutingPhase::kDecode, {&id, 1}, /*outputs=*/1, {}));
    logits = engine_.transformer().Logits(0, 1);
  }
  return finish(StopReason::kMaxTokens);
}

}  // namespace sluice
