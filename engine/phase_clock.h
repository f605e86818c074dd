// PhaseClock: where the time of forward passes goes, by phase.
//
// One clock read ends a phase and begins the next, so a layer costs three and
// nothing falls between phases. Time before the first Enter is not counted.
//
// Thread safety: thread-compatible; the session's thread alone uses it.
#ifndef SLUICE_ENGINE_PHASE_CLOCK_H_
#define SLUICE_ENGINE_PHASE_CLOCK_H_

#include <array>
#include <chrono>
#include <cstddef>

namespace sluice {

// kOutside: between forward passes; kExperts includes waiting for reads.
enum class Phase { kOutside, kAttention, kRouter, kExperts, kOutput };
inline constexpr std::size_t kPhases = 5;

class PhaseClock {
 public:
  void Enter(Phase phase) {
    const Clock::time_point now = Clock::now();
    if (running_) spent_[static_cast<std::size_t>(phase_)] += now - since_;
    running_ = true;
    phase_ = phase;
    since_ = now;
  }

  // Of phases that have ended.
  double seconds(Phase phase) const {
    return std::chrono::duration<double>(
               spent_[static_cast<std::size_t>(phase)])
        .count();
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool running_ = false;
  Phase phase_ = Phase::kOutside;
  Clock::time_point since_;
  std::array<Clock::duration, kPhases> spent_{};
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PHASE_CLOCK_H_
