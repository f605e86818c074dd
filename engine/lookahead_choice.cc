#include "engine/lookahead_choice.h"

namespace sluice {

using kernels::Lookahead;

Lookahead LookaheadChoice::Next(double seconds) {
  if (!decided() && since_) Count(seconds - *since_);
  if (decided()) return lines() ? Lookahead::kLines : Lookahead::kPages;
  since_ = seconds;
  const bool lines_first = pairs_ % 2 != 0;
  const bool first = first_.tokens < kTokens;
  return first == lines_first ? Lookahead::kLines : Lookahead::kPages;
}

void LookaheadChoice::Count(double seconds) {
  Run& run = first_.tokens < kTokens ? first_ : second_;
  ++run.tokens;
  run.seconds += seconds;
  if (second_.tokens < kTokens) return;
  const bool lines_first = pairs_ % 2 != 0;
  const Run& lines = lines_first ? first_ : second_;
  const Run& pages = lines_first ? second_ : first_;
  if (lines.seconds < pages.seconds) ++lines_won_;
  ++pairs_;
  first_ = second_ = {};
}

std::string_view LookaheadChoice::name() const {
  if (!decided()) return "trial";
  return lines() ? "lines" : "pages";
}

}  // namespace sluice
