// Sampler: the next token from logits.
//
// The chain is repeat penalty, top-k, top-p, min-p, temperature, draw, in the
// order that llama.cpp documents, so that equal settings mean the same. Ties go
// to the lowest id. With temperature 0 the choice is the largest logit after
// the penalty. The same seed gives the same tokens on every machine.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_SAMPLER_H_
#define SLUICE_ENGINE_SAMPLER_H_

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "engine/tokenizer.h"
#include "storage/result.h"

namespace sluice {

struct SamplerOptions {
  float temperature = 0.8F;     // 0: greedy
  std::int32_t top_k = 40;      // 0: off
  float top_p = 0.95F;          // 1: off
  float min_p = 0.05F;          // 0: off
  float repeat_penalty = 1.0F;  // 1: off (Keskar et al. 2019)
  std::int32_t repeat_last_n = 64;
  std::uint64_t seed = 0;

  // Returns: kInvalidArgument naming the option and its range.
  Result<void> Validate() const;
};

class Sampler {
 public:
  // REQUIRES: options.Validate() succeeded.
  explicit Sampler(const SamplerOptions& options);

  // `logits` is [n_vocab] and is not changed; `history` is what the penalty
  // looks back on, oldest first. REQUIRES: logits not empty.
  TokenId Sample(std::span<const float> logits,
                 std::span<const TokenId> history);

 private:
  struct Candidate {
    TokenId id;
    float logit;
  };
  SamplerOptions options_;
  std::mt19937_64 random_;
  std::vector<Candidate> candidates_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_SAMPLER_H_
