// RememberTail: what a cache learns from the end of a prompt's chunk. A chunk
// asks for nearly every expert of a layer once; what is generated next will ask
// for those that its last tokens used.
//
// Thread safety: a function.
#ifndef SLUICE_ENGINE_PROMPT_TAIL_H_
#define SLUICE_ENGINE_PROMPT_TAIL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cache/expert_cache.h"

namespace sluice {

// Tokens at the end of a chunk that are remembered one by one: policies forget
// what was used longer ago.
inline constexpr std::size_t kPromptTail = 32;

// Tells `cache` what the last of a chunk's `tokens` used of `layer`, in order,
// as if each had been a token of its own. `routes`: [tokens, experts_used].
// Call when the chunk's experts have been looked up, before any takes a slot:
// plain recency therefore learns nothing of those that miss. planes_of(expert)
// says with which planes the chunk wanted an expert.
// Nothing for a single token.
template <typename PlanesOfExpert>
void RememberTail(cache::ExpertCache& cache, std::uint16_t layer,
                  std::span<const std::uint16_t> routes, std::size_t tokens,
                  const PlanesOfExpert& planes_of) {
  if (tokens < 2) return;
  const std::size_t used = routes.size() / tokens;
  const std::size_t tail = std::min(tokens, kPromptTail);
  for (const std::uint16_t expert : routes.last(tail * used)) {
    cache.Remember({layer, expert}, planes_of(expert));
  }
}

}  // namespace sluice

#endif  // SLUICE_ENGINE_PROMPT_TAIL_H_
