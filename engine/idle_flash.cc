#include "engine/idle_flash.h"

#include <algorithm>

namespace sluice {

void IdleFlash::BeginToken(double seconds, std::uint64_t bytes) {
  if (trying() && seconds > 0) {
    Flow& flow = guess() ? with_ : without_;
    flow.seconds += seconds;
    flow.bytes += static_cast<double>(bytes);
  }
  --left_;
  if (trying()) {
    if (left_ == 0 || Hopeless()) Judge();
  } else if (left_ == 0) {
    state_ = State::kTrial;
    left_ = kTrial;
    with_ = {};
    without_ = {};
  }
}

void IdleFlash::Judge() {
  // Nothing read without guesses: nothing is known.
  idle_ = without_.rate() == 0 || with_.rate() >= kLeastGain * without_.rate();
  state_ = State::kVerdict;
  left_ = idle_ ? kGood : pause_;
  pause_ = idle_ ? kFirstPause : std::min(2 * pause_, kLongestPause);
}

}  // namespace sluice
