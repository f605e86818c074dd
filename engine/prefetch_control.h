// PrefetchControl: whether a guess is worth a read, and whether guessing pays
// at all. Arithmetic on times that it is told; it reads no clock.
//
// A guess is read only when, by its confidence p, it is expected to save more
// time than it costs. The device is idle for a `window` from the end of the
// demand reads to the next layer's. Of a read of length r that can start t into
// the window, the part within it, in = clamp(window - t, 0, r), is time that a
// right guess saves; the part behind it delays the next layer's demand reads
// when the guess is wrong:
//
//   gain = p * in - (1 - p) * (r - in) - kReadCost * r
//
// Every read costs something, right or wrong and inside the window too: it
// takes another expert's slot and memory bandwidth from what is computed, and
// on a device that is rarely idle it is in some other read's way.
//
// A window is an average, and one that turns out longer leaves the device idle:
// guesses that are almost certain, as most of a long chunk's, are always read.
//
// What is saved and what is lost in fact is added up per token. When the
// balance is below a small share of the token's time, guessing stops, for
// longer each time, and is then tried again for some tokens.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_PREFETCH_CONTROL_H_
#define SLUICE_ENGINE_PREFETCH_CONTROL_H_

#include <array>
#include <cstddef>

#include "engine/expert_source.h"

namespace sluice {

class PrefetchControl {
 public:
  // `always`: never stops guessing and reads every guess (tests, comparisons).
  explicit PrefetchControl(bool always = false) : always_(always) {}

  // A token (or chunk) begins; the one before took `seconds` (0: none did).
  void BeginToken(double seconds);
  bool on() const { return always_ || on_; }
  std::size_t switches() const { return switches_; }  // off or on, so far

  // Between guesses made `distance` layers ahead and their layer's request lay
  // `seconds` in which nothing was waited for.
  void ObserveWindow(std::size_t distance, double seconds);
  double window(std::size_t distance) const;  // expected seconds

  // Whether to read a guess made `distance` layers ahead, of confidence `p`,
  // that takes `read` seconds and could start `start` seconds into the window.
  bool Pays(std::size_t distance, double p, double start, double read) const;

  void Saved(double seconds) { balance_ += seconds; }
  void Lost(double seconds) { balance_ -= seconds; }

 private:
  const bool always_;
  bool on_ = true;
  std::array<double, kFarthestLookAhead> windows_ = {};  // by distance - 1
  double balance_ = 0;                                   // of the current token
  double gain_ = 0;              // average balance per token
  double token_seconds_ = 0;     // average
  std::size_t tokens_left_ = 0;  // until the state is looked at again
  std::size_t pause_ = 0;        // tokens of the next pause
  std::size_t switches_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PREFETCH_CONTROL_H_
