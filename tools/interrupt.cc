#include "tools/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstring>
#include <string_view>

namespace sluice::tools {
namespace {

std::atomic<bool> graceful{false};
std::atomic<bool> interrupted{false};
std::atomic<bool> progress_visible{false};
std::atomic<bool> doomed_set{false};
std::array<char, PATH_MAX> doomed_path;  // read only while doomed_set
static_assert(std::atomic<bool>::is_always_lock_free);

void OnSignal(int signal) {
  const bool first = !interrupted.exchange(true);
  if (signal == SIGINT && graceful && first) return;
  constexpr std::string_view kErase = "\r\x1b[K";
  if (progress_visible &&
      write(STDERR_FILENO, kErase.data(), kErase.size()) < 0) {
    // Nothing can be done about a terminal that has gone.
  }
  if (doomed_set) unlink(doomed_path.data());
  _exit(128 + signal);
}

}  // namespace

void InstallSignalHandlers() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGTERM);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool InterruptRequested() { return interrupted; }

void SetProgressVisible(bool visible) { progress_visible = visible; }

GracefulInterrupt::GracefulInterrupt() { graceful = true; }
GracefulInterrupt::~GracefulInterrupt() { graceful = false; }

RemoveOnSignal::RemoveOnSignal(const std::string& path) {
  if (path.size() >= doomed_path.size()) return;
  std::memcpy(doomed_path.data(), path.c_str(), path.size() + 1);
  doomed_set = true;
}
RemoveOnSignal::~RemoveOnSignal() { doomed_set = false; }

}  // namespace sluice::tools
