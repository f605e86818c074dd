#include "engine/prefetch_control.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr double kWindowShare = 0.125;  // of a new sample in the average
constexpr double kGainShare = 0.0625;
constexpr std::size_t kTrial = 16;  // tokens
constexpr std::size_t kFirstPause = 64;
constexpr std::size_t kLongestPause = 1024;
// The guesses themselves cost about this share of a token.
constexpr double kLeastGain = 0.005;
constexpr double kCertain = 0.97;
// Measured: less and twice as many bytes are read for the same waiting; more
// and a slow device gains while a fast one waits longer (bench/LEARNED.md).
constexpr double kReadCost = 0.4;

void Average(double& average, double sample, double share) {
  average = average == 0 ? sample : average + share * (sample - average);
}

}  // namespace

void PrefetchControl::BeginToken(double seconds) {
  if (pause_ == 0) {
    pause_ = kFirstPause;
    tokens_left_ = kTrial;
  }
  if (seconds > 0) {
    Average(token_seconds_, seconds, kGainShare);
    if (on_) Average(gain_, balance_, kGainShare);
  }
  balance_ = 0;
  if (tokens_left_ > 0) {
    --tokens_left_;
    return;
  }
  if (!on_) {
    on_ = true;
    gain_ = 0;
    tokens_left_ = kTrial;
    ++switches_;
  } else if (gain_ < kLeastGain * token_seconds_) {
    on_ = false;
    tokens_left_ = pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
    ++switches_;
  } else {
    pause_ = kFirstPause;
  }
}

void PrefetchControl::ObserveWindow(std::size_t distance, double seconds) {
  Average(windows_[distance - 1], seconds, kWindowShare);
}

double PrefetchControl::window(std::size_t distance) const {
  return windows_[distance - 1];
}

bool PrefetchControl::Pays(std::size_t distance, double p, double start,
                           double read) const {
  if (always_ || p >= kCertain) return true;
  const double within = std::clamp(window(distance) - start, 0.0, read);
  return p * within > (1.0 - p) * (read - within) + kReadCost * read;
}

}  // namespace sluice
