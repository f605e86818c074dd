#include "tools/trace_recorder.h"

#include <cstddef>
#include <utility>

namespace sluice::tools {
namespace {

constexpr std::size_t kBlock = 64 << 10;

}  // namespace

Result<std::unique_ptr<TraceRecorder>> TraceRecorder::Create(
    const std::string& path) {
  SLUICE_ASSIGN(std::unique_ptr<OutputFile> file, OutputFile::Create(path));
  return std::unique_ptr<TraceRecorder>(new TraceRecorder(std::move(file)));
}

void TraceRecorder::Attach(EngineOptions& options) {
  options.on_route = [this](const RoutedChunk& chunk) {
    Append(TraceRows(chunk));
  };
}

void TraceRecorder::Begin(const PlanReport& plan) {
  Append(TraceHeader(
      {.layers = static_cast<std::uint32_t>(plan.layers),
       .experts = static_cast<std::uint32_t>(plan.experts_total / plan.layers),
       .expert_bytes = plan.slot_bytes}));
}

Result<void> TraceRecorder::Commit() {
  Flush();
  SLUICE_TRY(written_);
  return file_->Commit();
}

void TraceRecorder::Append(std::string_view lines) {
  pending_ += lines;
  if (pending_.size() >= kBlock) Flush();
}

void TraceRecorder::Flush() {
  if (written_) written_ = file_->Write(pending_);
  pending_.clear();
}

}  // namespace sluice::tools
