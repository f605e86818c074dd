// How many experts may be low for a tolerated loss: a rise of the loss with its
// error, and the largest set whose rise is tolerable even at its upper bound.
//
// Thread safety: pure functions.
#ifndef SLUICE_ENGINE_PRECISION_CHOICE_H_
#define SLUICE_ENGINE_PRECISION_CHOICE_H_

#include <cstddef>
#include <functional>
#include <span>

#include "engine/sluice.h"

namespace sluice {

// The mean rise of a loss per token, in nats.
struct LossRise {
  // The upper bound is so many standard errors above the mean: with many
  // windows, one text in 44 like this one would have a larger rise.
  static constexpr double kErrors = 2;

  double mean = 0;
  double error = 0;  // standard error

  double Upper() const { return mean + kErrors * error; }
};

// The losses of a window's tokens under two models, in the same order.
struct PairedLosses {
  std::span<const double> changed;
  std::span<const double> reference;  // as many
};

// The rise from `reference` to `changed` over all tokens. Its error takes
// windows as independent of each other, and not the tokens within one: that of
// a ratio of sums over windows (Cochran, Sampling Techniques, section 6.3).
// Needs two windows or more, not all empty.
LossRise RiseOverWindows(std::span<const PairedLosses> windows);

struct CountChoice {
  std::size_t count = 0;
  LossRise chosen;  // none: zero
  LossRise all;     // with every expert low
};

// The largest count up to `experts`, to within a 64th of them, for which
// check(count), the measured rise when so many are low, is at most `most` nats
// at its upper bound. Rises are taken to grow with the count, so that seven or
// so are measured; that of the count that is returned is one of them.
// Returns: as `check`.
Result<CountChoice> ChooseCount(
    std::size_t experts, double most,
    const std::function<Result<LossRise>(std::size_t count)>& check);

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRECISION_CHOICE_H_
