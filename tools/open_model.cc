#include "tools/open_model.h"

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "engine/size_text.h"
#include "tools/progress.h"

namespace sluice::tools {
namespace {

std::string DeviceText(const ModeReport& mode) {
  if (mode.device == "memory") return "memory device";
  return fmt::format("{} {} I/O in pieces of {} at depth {}", mode.device,
                     mode.direct ? "direct" : "buffered",
                     FormatSize(mode.piece_bytes), mode.depth);
}

}  // namespace

std::string ModeLine(const ModeReport& mode) {
  std::string line = fmt::format("mode: {}, memory {}",
                                 mode.streaming ? "streaming" : "resident",
                                 FormatSize(mode.memory_bytes));
  if (mode.streaming) {
    line +=
        fmt::format(", {} slots of {}, {}, {}", mode.slots,
                    FormatSize(mode.slot_bytes), DeviceText(mode), mode.policy);
    if (!mode.predictor.empty()) line += " + " + mode.predictor;
  }
  if (mode.kv_format != KvFormat::kF16) {
    line += fmt::format(", {} K/V (lossy)", KvFormatName(mode.kv_format));
  }
  if (mode.precision == "base") line += ", base plane alone (lossy)";
  if (mode.precision == "by weight" && mode.t1 < mode.t2) {
    line += ", planes by weight (lossy)";
  }
  if (mode.precision.starts_with("by map")) {
    line += fmt::format(", planes {}, {} expert{} low{}", mode.precision,
                        mode.low_experts, mode.low_experts == 1 ? "" : "s",
                        mode.low_experts > 0 ? " (lossy)" : "");
  }
  if (mode.t2 < 1) line += ", experts skipped by weight (lossy)";
  if (mode.precision == "full") line += ", both planes";
  return line + fmt::format(", {}, {} thread{}", mode.isa, mode.threads,
                            mode.threads == 1 ? "" : "s");
}

Result<OpenModel> OpenForUse(const EngineFlags& flags) {
  SLUICE_TRY(flags.options.Validate());
  const auto start = std::chrono::steady_clock::now();
  Progress progress("loading", Progress::Unit::kBytes);
  EngineOptions options = flags.options;
  options.on_load = [&progress](std::uint64_t done, std::uint64_t total) {
    progress.Update(done, total);
  };
  OpenModel model;
  if (!flags.trace.empty()) {
    SLUICE_ASSIGN(model.trace, TraceRecorder::Create(flags.trace));
    model.trace->Attach(options);
  }
  SLUICE_ASSIGN(model.engine, Engine::Open(flags.model, options));
  if (model.trace) model.trace->Begin(model.engine->plan());
  SLUICE_ASSIGN(model.session, model.engine->NewSession());
  progress.Erase();
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  model.load_seconds = elapsed.count();
  fmt::print(stderr, "{}\n", ModeLine(model.engine->mode()));
  return model;
}

}  // namespace sluice::tools
