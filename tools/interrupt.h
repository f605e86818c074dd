// Signals: what Ctrl-C, termination and a closed pipe do to the command.
//
// By default Ctrl-C ends the process at once with code 130, after erasing the
// progress line and removing the file being written: nothing before the first
// token is worth waiting for. While a GracefulInterrupt lives, the first Ctrl-C
// only raises a flag, and the second ends the process. SIGTERM always ends it
// the same way, with 143. SIGPIPE is ignored, so that writes report EPIPE.
//
// Signal handlers can reach nothing but globals: the flags behind these
// functions are the only ones of the command, all of them lock-free.
//
// Thread safety: call from the main thread; InterruptRequested from any.
#ifndef SLUICE_TOOLS_INTERRUPT_H_
#define SLUICE_TOOLS_INTERRUPT_H_

#include <string>

namespace sluice::tools {

void InstallSignalHandlers();

// True once Ctrl-C came under a GracefulInterrupt.
bool InterruptRequested();

// The handler erases a visible progress line before it ends the process.
void SetProgressVisible(bool visible);

class GracefulInterrupt {
 public:
  GracefulInterrupt();
  ~GracefulInterrupt();
  GracefulInterrupt(const GracefulInterrupt&) = delete;
  GracefulInterrupt& operator=(const GracefulInterrupt&) = delete;
};

// Removes a file when a signal ends the process; at most one at a time. Does
// nothing for paths beyond PATH_MAX.
class RemoveOnSignal {
 public:
  explicit RemoveOnSignal(const std::string& path);
  ~RemoveOnSignal();
  RemoveOnSignal(const RemoveOnSignal&) = delete;
  RemoveOnSignal& operator=(const RemoveOnSignal&) = delete;
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_INTERRUPT_H_
