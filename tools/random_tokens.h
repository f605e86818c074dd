// RandomTokens: a text that means nothing, for measuring; the same for the same
// seed.
//
// Thread safety: a free function, safe to call from any thread.
#ifndef SLUICE_TOOLS_RANDOM_TOKENS_H_
#define SLUICE_TOOLS_RANDOM_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/sluice.h"

namespace sluice::tools {

// `size` ids below `vocabulary`.
// REQUIRES: vocabulary > 0.
inline std::vector<TokenId> RandomTokens(std::size_t size,
                                         std::size_t vocabulary,
                                         std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<TokenId> tokens(size);
  for (TokenId& id : tokens) id = static_cast<TokenId>(random() % vocabulary);
  return tokens;
}

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_RANDOM_TOKENS_H_
