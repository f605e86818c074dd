#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "engine/likelihood.h"
#include "engine/sluice.h"

namespace sluice {

Result<PerplexityResult> Perplexity(
    Session& session, std::span<const TokenId> tokens, std::size_t window,
    const std::function<bool(std::size_t, std::size_t)>& progress) {
  if (window < 2 || window > session.context()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("a window of {} tokens is not within 2 and the "
                            "context of {}",
                            window, session.context()));
  }
  if (tokens.size() < 2) {
    return Fail(ErrorCode::kInvalidArgument,
                "the text has fewer than two tokens; give a longer one");
  }
  PerplexityResult result;
  double total = 0;
  for (std::size_t start = 0; start + 1 < tokens.size(); start += window) {
    const auto text =
        tokens.subspan(start, std::min(window, tokens.size() - start));
    session.Reset();
    SLUICE_TRY(session.Evaluate(
        text, [&](std::size_t i, std::span<const float> logits) {
          if (i + 1 < text.size()) {
            total += NegativeLogLikelihood(logits, text[i + 1]);
            ++result.tokens;
          }
          return !progress || progress(start + i + 1, tokens.size());
        }));
    ++result.windows;
  }
  session.Reset();
  result.mean_negative_log_likelihood =
      total / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.mean_negative_log_likelihood);
  return result;
}

}  // namespace sluice
