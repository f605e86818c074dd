// LookaheadChoice: which way of asking for weights ahead of their use is faster
// on this machine, found out while it decodes. Processors differ: where their
// own prefetching is good, asking for every line is in its way
// (bench/LEARNED.md, 50).
//
// Pairs of runs of tokens are decoded one way and the other, which first in
// turns, and timed by the products it is chosen for: types of weights differ as
// well, so dense weights and experts have a choice each (61). Runs, as what is
// asked for in vain costs the tokens after it too. A prompt, which computing
// bounds, always asks for all lines (59). Results are the same either way.
//
// Thread safety: thread-compatible; the session's thread alone uses it.
#ifndef SLUICE_ENGINE_LOOKAHEAD_CHOICE_H_
#define SLUICE_ENGINE_LOOKAHEAD_CHOICE_H_

#include <optional>
#include <string_view>

#include "kernels/kernel_table.h"

namespace sluice {

class LookaheadChoice {
 public:
  static constexpr int kTokens = 4;  // of a run
  static constexpr int kPairs = 16;

  // Every line stays where it wins `pairs_for_lines` pairs.
  explicit LookaheadChoice(int pairs_for_lines)
      : pairs_for_lines_(pairs_for_lines) {}

  // For a token that begins when all before it have spent `seconds` on the
  // products. If the last call was for the token before, its time counts.
  kernels::Lookahead Next(double seconds);
  // Something else runs before the next token.
  void Pause() { since_.reset(); }

  bool decided() const { return pairs_ == kPairs; }
  // "lines", "pages", "trial" before it is decided.
  std::string_view name() const;

 private:
  struct Run {
    int tokens = 0;
    double seconds = 0;
  };

  void Count(double seconds);
  bool lines() const { return lines_won_ >= pairs_for_lines_; }

  int pairs_for_lines_;
  int pairs_ = 0;
  int lines_won_ = 0;
  std::optional<double> since_;  // when the token under way began
  Run first_;                    // of the pair under way
  Run second_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_LOOKAHEAD_CHOICE_H_
