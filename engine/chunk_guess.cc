#include "engine/chunk_guess.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

// The chance that a guess for one token is right: what one layer's look-ahead
// reaches on trained models, taken low (bench/LEARNED.md).
constexpr double kRight = 0.7;

}  // namespace

void GuessChunk(const LookAhead& ahead, std::size_t experts_used,
                std::vector<Guess>& guesses) {
  guesses.clear();
  if (ahead.scores.empty()) return;
  const std::size_t experts = ahead.scores.size() / ahead.sampled;
  std::vector<std::uint32_t> uses(experts);
  for (std::size_t t = 0; t < ahead.sampled; ++t) {
    const std::span<float> scores = ahead.scores.subspan(t * experts, experts);
    for (std::size_t rank = 0; rank < experts_used; ++rank) {
      const auto best = std::ranges::max_element(scores);
      ++uses[static_cast<std::size_t>(best - scores.begin())];
      *best = -1.0F;  // taken; scores are at least 0
    }
  }
  const double tokens_per_sample =
      static_cast<double>(ahead.tokens) / static_cast<double>(ahead.sampled);
  for (std::size_t e = 0; e < experts; ++e) {
    if (uses[e] == 0) continue;
    const double n = uses[e] * tokens_per_sample;
    guesses.push_back(
        {.expert = static_cast<std::uint16_t>(e),
         .confidence = static_cast<float>(1.0 - std::pow(1.0 - kRight, n))});
  }
  std::ranges::stable_sort(guesses, std::ranges::greater{}, &Guess::confidence);
}

}  // namespace sluice
