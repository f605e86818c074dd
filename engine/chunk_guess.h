// GuessChunk: which experts a chunk of tokens will ask for, from the look-ahead
// scores of some of its tokens.
//
// Thread safety: a function.
#ifndef SLUICE_ENGINE_CHUNK_GUESS_H_
#define SLUICE_ENGINE_CHUNK_GUESS_H_

#include <cstddef>
#include <vector>

#include "engine/expert_source.h"
#include "predictor/predictor.h"

namespace sluice {

// Replaces `guesses` by the experts among the sampled tokens' best
// `experts_used`, best first. An expert that n of the chunk's tokens are
// expected to use is asked for with confidence 1 - (1 - a)^n, a being the
// chance that one token's guess is right. Overwrites `ahead.scores`.
void GuessChunk(const LookAhead& ahead, std::size_t experts_used,
                std::vector<Guess>& guesses);

}  // namespace sluice

#endif  // SLUICE_ENGINE_CHUNK_GUESS_H_
