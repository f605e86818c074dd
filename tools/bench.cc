// `sluice bench`: how fast a model runs, and what that cost in reads.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/plan_api.h"
#include "tools/bench_report.h"
#include "tools/bounds.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/open_model.h"
#include "tools/progress.h"
#include "tools/random_tokens.h"
#include "tools/report.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Every repetition runs the same random prompt, then decodes with the "
    "default\n"
    "sampler and a fixed seed. The expert cache stays warm from one repetition "
    "to\n"
    "the next. Medians over the repetitions, with the least and the most. What "
    "the\n"
    "plan expects is worked out before the model is loaded; what the machine "
    "allows\n"
    "is measured around each repetition, with --trace around all of them.\n"
    "\n"
    "Examples:\n"
    "  sluice bench model.gguf --memory 2G\n"
    "  sluice bench model.gguf --prompt-tokens 512 --gen-tokens 0 --reps 5 "
    "--json";

constexpr const char* kWork = "Work";
constexpr std::uint64_t kPromptSeed = 20240229;

struct BenchFlags {
  EngineFlags engine;
  BenchWork work;
  std::size_t reps = 3;
  bool json = false;
};

Result<Timings> RunOnce(const BenchFlags& flags, OpenModel& model,
                        Progress& progress) {
  const std::size_t total =
      flags.work.prompt_tokens + flags.work.gen_tokens + 1;
  std::size_t done = 0;
  model.session->Reset();
  GenerateRequest request;
  request.prompt = RandomTokens(flags.work.prompt_tokens,
                                model.engine->vocabulary(), kPromptSeed);
  // The first token comes from the prompt's pass; the rest are decoded.
  request.max_tokens = flags.work.gen_tokens + 1;
  request.ignore_eos = true;
  request.on_prefill = [&](std::size_t tokens, std::size_t) {
    progress.Update(done = tokens, total);
    return true;
  };
  request.on_token = [&](TokenId, std::string_view) {
    progress.Update(++done, total);
    return true;
  };
  SLUICE_ASSIGN(const GenerateResult result, model.session->Generate(request));
  return TimingsOf(result, model.engine->mode());
}

// What the machine allows is measured around each repetition, since it drifts;
// with a trace only around all of them: it evicts, which no trace tells.
Result<std::vector<BenchRun>> RunAll(const BenchFlags& flags,
                                     OpenModel& model) {
  std::vector<BenchRun> runs(flags.reps);
  std::vector<HardwareReport> hardware(flags.reps + 1);
  SLUICE_ASSIGN(hardware.front(), model.engine->MeasureHardware());
  for (std::size_t i = 0; i < flags.reps; ++i) {
    Progress progress(fmt::format("repetition {} of {}", i + 1, flags.reps),
                      Progress::Unit::kTokens);
    SLUICE_ASSIGN(runs[i].timings, RunOnce(flags, model, progress));
    if (model.trace != nullptr && i + 1 < flags.reps) {
      hardware[i + 1] = hardware.front();
      continue;
    }
    SLUICE_ASSIGN(hardware[i + 1], model.engine->MeasureHardware());
  }
  for (std::size_t i = 0; i < flags.reps; ++i) {
    runs[i].bounds = BoundsOf(Between(hardware[i], hardware[i + 1]),
                              runs[i].timings, flags.work.prompt_tokens);
  }
  return runs;
}

Result<ExitCode> Bench(const BenchFlags& flags) {
  EngineFlags engine = flags.engine;
  if (engine.options.context == 0) {
    engine.options.context =
        flags.work.prompt_tokens + flags.work.gen_tokens + 1;
  }
  SLUICE_ASSIGN(const PlanReport plan,
                PlanModel(engine.model, engine.options, {.measure = true}));
  SLUICE_ASSIGN(OpenModel model, OpenForUse(engine));
  SLUICE_ASSIGN(const std::vector<BenchRun> runs, RunAll(flags, model));
  const BenchReport report = {flags.engine.model, flags.work, plan, model,
                              runs};
  Result<void> traced = model.FinishTrace();
  SLUICE_TRY(WriteStdout(flags.json ? report.Json() : report.Text()));
  if (!traced) return Forward(std::move(traced));
  return ExitCode::kOk;
}

void AddWorkFlags(CLI::App& app, BenchFlags* flags) {
  const auto count = [&app](const Flag& flag, IntegerRange range,
                            std::size_t* target) {
    AddInteger(app, flag, range, [target](std::int64_t n) {
      *target = static_cast<std::size_t>(n);
    });
  };
  count({"--prompt-tokens", "N", "tokens of the prompt (default 128)", kWork},
        {1, 1 << 23}, &flags->work.prompt_tokens);
  count({"--gen-tokens", "N", "tokens decoded after it (default 64)", kWork},
        {0, 1 << 23}, &flags->work.gen_tokens);
  count({"--reps", "N", "repetitions (default 3)", kWork}, {1, 1000},
        &flags->reps);
  AddSwitch(app, {"--json", "", "print one JSON object", kWork}, &flags->json);
}

}  // namespace

Command AddBench(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand("bench", "Measure a model's speed");
  auto flags = std::make_shared<BenchFlags>();
  AddWorkFlags(*app, flags.get());
  AddEngineFlags(*app, &flags->engine,
                 "tokens of context (default: prompt and generated tokens)");
  AddTraceFlag(*app, &flags->engine);
  app->footer(kFooter);
  return {app, [flags] { return Bench(*flags); }};
}

}  // namespace sluice::tools
