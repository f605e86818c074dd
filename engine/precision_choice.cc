#include "engine/precision_choice.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sluice {
namespace {

double Difference(const PairedLosses& window) {
  double sum = 0;
  for (std::size_t i = 0; i < window.changed.size(); ++i) {
    sum += window.changed[i] - window.reference[i];
  }
  return sum;
}

}  // namespace

LossRise RiseOverWindows(std::span<const PairedLosses> windows) {
  double sum = 0;
  double tokens = 0;
  for (const PairedLosses& window : windows) {
    sum += Difference(window);
    tokens += static_cast<double>(window.changed.size());
  }
  const double mean = sum / tokens;
  double squares = 0;
  for (const PairedLosses& window : windows) {
    const double off =
        Difference(window) - mean * static_cast<double>(window.changed.size());
    squares += off * off;
  }
  const auto n = static_cast<double>(windows.size());
  return {.mean = mean, .error = std::sqrt(squares * n / (n - 1)) / tokens};
}

Result<CountChoice> ChooseCount(
    std::size_t experts, double most,
    const std::function<Result<LossRise>(std::size_t count)>& check) {
  CountChoice choice;
  SLUICE_ASSIGN(choice.all, check(experts));
  if (choice.all.Upper() <= most) {
    choice.count = experts;
    choice.chosen = choice.all;
    return choice;
  }
  const std::size_t step = std::max<std::size_t>(experts / 64, 1);
  for (std::size_t high = experts; choice.count + step < high;) {
    const std::size_t middle = std::midpoint(choice.count, high);
    SLUICE_ASSIGN(const LossRise rise, check(middle));
    if (rise.Upper() <= most) {
      choice.count = middle;
      choice.chosen = rise;
    } else {
      high = middle;
    }
  }
  return choice;
}

}  // namespace sluice
