// TraceRecorder: writes the routing of a model to a file as it runs, for
// `sluice replay`. engine/routing_trace.h describes the format.
//
// Thread safety: thread-compatible; the engine's callback runs on the session's
// thread.
#ifndef SLUICE_TOOLS_TRACE_RECORDER_H_
#define SLUICE_TOOLS_TRACE_RECORDER_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/sluice.h"
#include "tools/files.h"

namespace sluice::tools {

class TraceRecorder {
 public:
  // Returns: as OutputFile::Create.
  static Result<std::unique_ptr<TraceRecorder>> Create(const std::string& path);

  // To be recorded, an engine is opened with `options`, which the recorder must
  // outlive, and described by Begin before its first token.
  void Attach(EngineOptions& options);
  void Begin(const PlanReport& plan);
  // The file appears under its name. Returns: the first error in writing.
  Result<void> Commit();

 private:
  explicit TraceRecorder(std::unique_ptr<OutputFile> file)
      : file_(std::move(file)) {}
  void Append(std::string_view lines);
  void Flush();

  std::unique_ptr<OutputFile> file_;
  std::string pending_;
  Result<void> written_;
};

}  // namespace sluice::tools

#endif  // SLUICE_TOOLS_TRACE_RECORDER_H_
