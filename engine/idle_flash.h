// IdleFlash: whether the flash has idle time that guesses could use, found out
// by trying. Where it has, tokens with guesses bring more bytes per second than
// tokens without. Where it has none, as on a disk with a limited rate that
// makes up for its pauses, they bring the same, and every byte that a guess
// adds is time lost (bench/LEARNED.md, 55).
//
// Runs of tokens are decoded with guesses and without, in an order without
// a period: what the flash saved up during pauses, as between answers, then
// goes to both, nearly alike. Bytes per second and not tokens: how many experts
// a token lacks differs more than what the flash gives. A trial whose first
// tokens show next to nothing ends with them.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_IDLE_FLASH_H_
#define SLUICE_ENGINE_IDLE_FLASH_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice {

class IdleFlash {
 public:
  static constexpr std::size_t kRun = 4;         // tokens
  static constexpr std::size_t kTrial = 40;      // tokens, half of them with
  static constexpr std::size_t kFirstLook = 16;  // of them, if hopeless
  static constexpr std::size_t kGood = 1024;     // tokens until another trial
  static constexpr std::size_t kFirstPause = 128;
  static constexpr std::size_t kLongestPause = 1024;
  static constexpr double kLeastGain = 1.07;  // of bytes per second
  static constexpr double kHopeless = 1.035;

  // A token begins; the one before it took `seconds`, in which `bytes` were
  // asked of the flash (0 seconds: not known, it does not count).
  void BeginToken(double seconds, std::uint64_t bytes);
  // Whether to guess during the token that has begun.
  bool guess() const {
    return trying() ? kWith[(kTrial - left_) / kRun] : idle_;
  }

 private:
  // Runs of a trial; balanced also up to the first look. Every second, third,
  // fourth, sixth or eighth of them, from the first on, has guesses as often as
  // not, or once more or less.
  static constexpr std::array<bool, kTrial / kRun> kWith = {
      true, false, false, true, true, true, false, true, false, false};

  struct Flow {
    double seconds = 0;
    double bytes = 0;
    double rate() const { return seconds > 0 ? bytes / seconds : 0; }
  };
  enum class State { kTrial, kVerdict };

  bool trying() const { return state_ == State::kTrial; }
  bool Hopeless() const {
    return left_ == kTrial - kFirstLook &&
           with_.rate() < kHopeless * without_.rate();
  }
  void Judge();

  State state_ = State::kTrial;
  std::size_t left_ = kTrial;  // tokens of this state
  bool idle_ = true;           // the latest verdict
  std::size_t pause_ = kFirstPause;
  Flow with_;
  Flow without_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_IDLE_FLASH_H_
