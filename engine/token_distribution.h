// TokenDistribution: what a model expects as the next token, kept in little
// room, to see how far another model's expectation is from it.
//
// Thread safety: pure functions.
#ifndef SLUICE_ENGINE_TOKEN_DISTRIBUTION_H_
#define SLUICE_ENGINE_TOKEN_DISTRIBUTION_H_

#include <array>
#include <cstddef>
#include <span>

#include "engine/tokenizer.h"

namespace sluice {

// The probabilities of the likeliest tokens; all others are one.
struct TokenDistribution {
  static constexpr std::size_t kTokens = 64;

  std::size_t count = 0;  // of tokens listed: kTokens, or the vocabulary's
  std::array<TokenId, kTokens> tokens;
  std::array<float, kTokens> probabilities;
};

// The distribution that `logits`, of the whole vocabulary, give.
TokenDistribution DistributionOf(std::span<const float> logits);

// sum p log(p / q) in nats, p of `reference` and q of `logits`: by how much the
// loss would rise on tokens drawn from `reference`, if a model with `logits`
// predicted them (Kullback and Leibler 1951). Tokens not listed are taken as
// one, which makes it smaller if anything; never less than zero but by
// rounding.
double Divergence(const TokenDistribution& reference,
                  std::span<const float> logits);

}  // namespace sluice

#endif  // SLUICE_ENGINE_TOKEN_DISTRIBUTION_H_
