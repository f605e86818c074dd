#include "tools/memory_signal.h"

#include <fmt/core.h>
#include <signal.h>

#include <atomic>
#include <cstdio>

#include "engine/size_text.h"

namespace sluice::tools {
namespace {

// The handler can reach nothing but a global.
std::atomic<unsigned> signals{0};
static_assert(std::atomic<unsigned>::is_always_lock_free);

void OnSignal(int) { ++signals; }

}  // namespace

MemorySignal::MemorySignal() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR1, &action, nullptr);
}

MemorySignal::~MemorySignal() { signal(SIGUSR1, SIG_DFL); }

bool MemorySignal::pending() const { return signals != 0; }

void MemorySignal::Obey(Engine& engine, bool quiet) {
  if (budget_ == 0) budget_ = engine.mode().memory_bytes;
  for (unsigned left = signals.exchange(0); left > 0; --left) {
    const Result<void> set = engine.SetMemoryBudget(budget_ / 2);
    if (!set) {
      fmt::print(stderr, "sluice run: {}\n", set.error().message);
      return;
    }
    budget_ /= 2;
    if (!quiet) {
      fmt::print(stderr, "memory: {} from the next token on (SIGUSR1)\n",
                 FormatSize(budget_));
    }
  }
}

}  // namespace sluice::tools
