// Progress: a line on stderr that says how far a long operation is.
//
// It appears only on a terminal, only after two seconds, and is erased when the
// Progress is destroyed, so that it never mixes with results or logs.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TOOLS_PROGRESS_H_
#define SLUICE_TOOLS_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::tools {

class Progress {
 public:
  // What is counted, for the text of the line.
  enum class Unit { kBytes, kTokens, kPoints };

  // `label` is what is being done: "loading".
  Progress(std::string label, Unit unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Redraws at most ten times a second. What has a known total also gets the
  // time left, and bytes a rate, by what came since the first call. `total` 0:
  // unknown.
  void Update(std::uint64_t done, std::uint64_t total);
  // Erases the line; Update may draw it again.
  void Erase();

 private:
  using Clock = std::chrono::steady_clock;

  std::string Line(std::uint64_t done, std::uint64_t total) const;
  // ", 512 MiB/s, 12 s left", or the time alone; empty before anything can be
  // said.
  std::string Pace(std::uint64_t done, std::uint64_t total) const;

  const std::string label_;
  const Unit unit_;
  const bool terminal_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_draw_;
  std::optional<std::uint64_t> first_;  // done at the first call
  bool visible_ = false;
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_PROGRESS_H_
