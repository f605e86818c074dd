// SIGUSR1: the board is short of memory, use half of it.
//
// While a MemorySignal lives, the signal is counted and no more; without one it
// ends the process, as the system has it. Each one counted halves the engine's
// memory budget when Obey is called, until the engine refuses.
//
// Thread safety: call from the main thread; at most one at a time.
#ifndef SLUICE_TOOLS_MEMORY_SIGNAL_H_
#define SLUICE_TOOLS_MEMORY_SIGNAL_H_

#include <cstdint>

#include "engine/sluice.h"

namespace sluice::tools {

class MemorySignal {
 public:
  MemorySignal();
  ~MemorySignal();
  MemorySignal(const MemorySignal&) = delete;
  MemorySignal& operator=(const MemorySignal&) = delete;

  // Whether a signal has come that was not obeyed yet.
  bool pending() const;
  // Halves the budget of `engine` once for each signal since the last call, and
  // says on stderr what it is or why it stays; only the latter when `quiet`.
  void Obey(Engine& engine, bool quiet);

 private:
  std::uint64_t budget_ = 0;  // asked for last; 0: that of the opening
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_MEMORY_SIGNAL_H_
