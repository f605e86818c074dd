// Sampler: the next token from logits.
//
// The chain is repeat penalty, top-k, top-p, min-p, temperature, draw, in the
// order that llama.cpp documents, so that equal settings mean the same. Ties go
// to the lowest id. With temperature 0 the choice is the largest logit after
// the penalty. NaN counts as -inf; a token of -inf is drawn only when all are.
// The same seed gives the same tokens on every machine: the generator is
// mt19937_64, one draw per token, and neither the mapping to a token nor e^x is
// left to the standard library.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_SAMPLER_H_
#define SLUICE_ENGINE_SAMPLER_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "engine/tokenizer.h"
#include "storage/result.h"

namespace sluice {

struct SamplerOptions {
  float temperature = 0.8F;         // 0: greedy
  std::int32_t top_k = 40;          // 0: off
  float top_p = 0.95F;              // 1: off
  float min_p = 0.05F;              // 0: off
  float repeat_penalty = 1.0F;      // 1: off (Keskar et al. 2019)
  std::int32_t repeat_last_n = 64;  // 0: off, -1: the whole history
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
  // How many candidates top-p sorts at first, almost always enough, and by
  // what factor it looks further.
  static constexpr std::size_t kSortStep = 256;
  static constexpr std::size_t kSortGrowth = 16;

  std::size_t TopK(std::size_t n_vocab) const;
  void CollectPenalized(std::size_t n_vocab, std::span<const TokenId> history);
  void SelectTopK(std::span<const float> logits, std::size_t k);
  void SortFirst(std::size_t count);
  void KeepTopPAndMinP();
  TokenId Draw();

  SamplerOptions options_;
  std::mt19937_64 random_;
  std::vector<Candidate> candidates_;  // what is still in the running
  std::size_t sorted_ = 0;             // how many of the first are in order
  std::vector<TokenId> penalized_;     // ascending, distinct
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_SAMPLER_H_
