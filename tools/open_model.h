// Opening a model for use: loading with progress, the `mode:` line, a session.
//
// Thread safety: call from the main thread.
#ifndef SLUICE_TOOLS_OPEN_MODEL_H_
#define SLUICE_TOOLS_OPEN_MODEL_H_

#include <memory>
#include <string>

#include "engine/sluice.h"
#include "tools/engine_flags.h"
#include "tools/trace_recorder.h"

namespace sluice::tools {

struct OpenModel {
  std::unique_ptr<TraceRecorder> trace;  // null: not recorded
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Session> session;  // declared after: destroyed before
  double load_seconds = 0;

  // Completes the recording, if there is one. Returns: as Commit.
  Result<void> FinishTrace() {
    return trace ? trace->Commit() : Result<void>();
  }
};

// Opens `flags.model` and prints the mode line on stderr, so that nobody
// measures the wrong thing unknowingly. Returns: as EngineOptions::Validate,
// Engine::Open and Engine::NewSession.
Result<OpenModel> OpenForUse(const EngineFlags& flags);

// "mode: streaming, memory 40.0 MiB, 180 slots of 212 KiB, io_uring direct I/O
// in pieces of 256 KiB at depth 16, lfru, avx512, 2 threads", without a
// newline.
std::string ModeLine(const ModeReport& mode);

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_OPEN_MODEL_H_
