#include "tools/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "engine/size_text.h"
#include "tools/interrupt.h"

namespace sluice::tools {
namespace {

constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::milliseconds kRedraw{100};

bool StderrIsTerminal() {
  if (isatty(STDERR_FILENO) != 1) return false;
  const char* term = std::getenv("TERM");
  return term != nullptr && std::string_view(term) != "dumb";
}

}  // namespace

Progress::Progress(std::string label, Unit unit)
    : label_(std::move(label)),
      unit_(unit),
      terminal_(StderrIsTerminal()),
      next_draw_(start_ + kPatience) {}

Progress::~Progress() { Erase(); }

void Progress::Update(std::uint64_t done, std::uint64_t total) {
  if (!terminal_) return;
  if (!first_) first_ = done;
  const Clock::time_point now = Clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + kRedraw;
  visible_ = true;
  SetProgressVisible(true);
  fmt::print(stderr, "\r\x1b[K{}", Line(done, total));
}

void Progress::Erase() {
  if (!visible_) return;
  fmt::print(stderr, "\r\x1b[K");
  visible_ = false;
  SetProgressVisible(false);
}

std::string Progress::Line(std::uint64_t done, std::uint64_t total) const {
  const auto amount = [this](std::uint64_t n) {
    return unit_ == Unit::kBytes ? FormatSize(n) : fmt::format("{}", n);
  };
  const char* unit = unit_ == Unit::kBytes    ? ""
                     : unit_ == Unit::kTokens ? " tokens"
                                              : " points";
  if (total == 0) return fmt::format("{}: {}{}", label_, amount(done), unit);
  const double percent =
      100.0 * static_cast<double>(done) / static_cast<double>(total);
  return fmt::format("{}: {} of {}{}, {:.0f}%{}", label_, amount(done),
                     amount(total), unit, percent, Pace(done, total));
}

std::string Progress::Pace(std::uint64_t done, std::uint64_t total) const {
  const std::uint64_t since = done - std::min(done, first_.value_or(done));
  if (since == 0) return "";
  const std::chrono::duration<double> elapsed = Clock::now() - start_;
  const double rate = static_cast<double>(since) / elapsed.count();
  const double left = static_cast<double>(total - std::min(done, total)) / rate;
  const auto seconds = static_cast<std::uint64_t>(std::ceil(left));
  const std::string time = seconds < 120
                               ? fmt::format("{} s", seconds)
                               : fmt::format("{} min", (seconds + 59) / 60);
  if (unit_ != Unit::kBytes) return fmt::format(", {} left", time);
  return fmt::format(", {}/s, {} left",
                     FormatSize(static_cast<std::uint64_t>(rate)), time);
}

}  // namespace sluice::tools
