// `sluice plan`: what would be resident and what would stream, before anything
// is loaded.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/plan_api.h"
#include "engine/size_text.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/report.h"
#include "tools/table.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Memory is measured with the engine's threads, flash once for each model "
    "(see\n"
    "--no-probe): one or two seconds, and half a second more the first time.\n"
    "Remove MODEL.probe to measure the flash again.\n"
    "\n"
    "Exits with 1 when the model cannot run in that memory; the floor, the "
    "least\n"
    "that can, is printed all the same.\n"
    "\n"
    "Examples:\n"
    "  sluice plan model.gguf --memory 2G\n"
    "  sluice plan model.gguf --memory 2G --ctx 1024 --json | jq .floor_bytes\n"
    "  sluice plan model.sluice --memory 2G --trace trace.csv";

struct PlanFlags {
  EngineFlags engine;
  std::string trace;  // empty: none
  bool json = false;
};

const char* ModeName(const PlanReport& plan) {
  if (!plan.fits) return "does not fit";
  return plan.streaming ? "streaming" : "resident";
}

const char* HitRateSource(const PlanReport& plan) {
  if (!plan.streaming) return "all in memory";
  return plan.hit_rate_from_trace ? "of the trace" : "by a model of routing";
}

std::string SpeedText(double bytes_per_second, bool measured) {
  return fmt::format("{} GB/s, {}", FigureText(bytes_per_second, 1e-9),
                     measured ? "measured" : "nominal");
}

std::string ChunkText(const PlanReport& plan) {
  std::string text = fmt::format("{} tokens", plan.prefill_chunk);
  if (plan.prefill_chunk == plan.standing_chunk) return text;
  return text + fmt::format("; from {} on in the place of experts",
                            plan.standing_chunk + 1);
}

std::string ExpectationText(const PlanReport& plan) {
  Table table("ll");
  table.AddRow({"mode", ModeName(plan)});
  table.AddRow(
      {"floor", FormatSize(plan.floor_bytes) + ", the least that can run"});
  table.AddRow({"resident from",
                FormatSize(plan.resident_mode_bytes) + ", nothing streams"});
  if (!plan.fits) return table.Text();
  table.AddRow({"policy", plan.policy});
  table.AddRow({"context", fmt::format("{} tokens", plan.context)});
  table.AddRow({"prefill chunk", ChunkText(plan)});
  table.AddRow(
      {"experts per token",
       fmt::format("{} of {}", plan.experts_per_token, plan.experts_total)});
  table.AddRow({"expected hit rate",
                fmt::format("{}, {}", ShareText(plan.expected_hit_rate),
                            HitRateSource(plan))});
  table.AddRow({"expected from flash",
                FormatSize(plan.expected_bytes_per_token) + " per token"});
  table.AddRow(
      {"expected speed",
       fmt::format("{} tokens/s: {} ms of computing and {} of waiting",
                   FigureText(plan.expected_tokens_per_second),
                   FigureText(plan.expected_compute_seconds_per_token, 1000),
                   FigureText(plan.expected_stall_seconds_per_token, 1000))});
  const MachineSpeeds& speeds = plan.speeds;
  table.AddRow({"memory",
                SpeedText(speeds.dram_bytes_per_second, speeds.dram_measured)});
  if (speeds.weights_bytes_per_second > 0) {
    table.AddRow({"products", SpeedText(speeds.weights_bytes_per_second, true) +
                                  ", of weights out of memory"});
  }
  table.AddRow(
      {"flash",
       SpeedText(speeds.flash_bytes_per_second, speeds.flash_measured) +
           fmt::format(", {} ms to begin{}",
                       FigureText(speeds.flash_latency_seconds, 1000),
                       speeds.flash_saves_up ? ", makes up for pauses" : "")});
  return table.Text();
}

std::string MemoryText(const PlanReport& plan) {
  Table table("lrl");
  const auto row = [&table](const char* what, std::uint64_t bytes,
                            std::string note) {
    table.AddRow({what, FormatSize(bytes), std::move(note)});
  };
  row("process", plan.process_bytes, "program, libraries, stacks");
  row("tokenizer", plan.tokenizer_bytes, "");
  row("dense weights", plan.dense_bytes, "");
  row("K/V cache", plan.kv_bytes, std::string(KvFormatName(plan.kv_format)));
  row("scratch", plan.scratch_bytes, "activations, I/O, routers for guesses");
  row("experts", plan.expert_bytes,
      plan.streaming ? fmt::format("{} slots of {}", plan.slots,
                                   FormatSize(plan.slot_bytes))
                     : "");
  row("ceiling", plan.memory_bytes, "");
  return table.Text();
}

std::string JsonReport(const PlanReport& plan) {
  const nlohmann::ordered_json json = {
      {"fits", plan.fits},
      {"mode", plan.streaming ? "streaming" : "resident"},
      {"memory_bytes", plan.memory_bytes},
      {"floor_bytes", plan.floor_bytes},
      {"resident_mode_bytes", plan.resident_mode_bytes},
      {"process_bytes", plan.process_bytes},
      {"tokenizer_bytes", plan.tokenizer_bytes},
      {"dense_bytes", plan.dense_bytes},
      {"kv", KvFormatName(plan.kv_format)},
      {"kv_bytes", plan.kv_bytes},
      {"scratch_bytes", plan.scratch_bytes},
      {"expert_bytes", plan.expert_bytes},
      {"slots", plan.slots},
      {"slot_bytes", plan.slot_bytes},
      {"experts_total", plan.experts_total},
      {"experts_per_token", plan.experts_per_token},
      {"context", plan.context},
      {"prefill_chunk", plan.prefill_chunk},
      {"standing_chunk", plan.standing_chunk},
      {"policy", plan.policy},
      {"decode_bytes", plan.decode_bytes},
      {"expected_hit_rate", plan.expected_hit_rate},
      {"hit_rate_from_trace", plan.hit_rate_from_trace},
      {"expected_bytes_per_token", plan.expected_bytes_per_token},
      {"expected_compute_seconds_per_token",
       plan.expected_compute_seconds_per_token},
      {"expected_stall_seconds_per_token",
       plan.expected_stall_seconds_per_token},
      {"expected_tokens_per_second", plan.expected_tokens_per_second},
      {"dram_bytes_per_second", plan.speeds.dram_bytes_per_second},
      {"dram_measured", plan.speeds.dram_measured},
      {"weights_bytes_per_second", plan.speeds.weights_bytes_per_second},
      {"flash_bytes_per_second", plan.speeds.flash_bytes_per_second},
      {"flash_latency_seconds", plan.speeds.flash_latency_seconds},
      {"flash_saves_up", plan.speeds.flash_saves_up},
      {"flash_measured", plan.speeds.flash_measured},
      {"below_working_set", plan.below_working_set},
  };
  return Dump(json);
}

Result<ExitCode> Plan(const PlanFlags& flags) {
  SLUICE_TRY(flags.engine.options.Validate());
  std::optional<RoutingTrace> trace;
  if (!flags.trace.empty()) {
    SLUICE_ASSIGN(const std::string text, ReadNonEmptyFile(flags.trace));
    SLUICE_ASSIGN(trace, ParseTrace(text, flags.trace));
  }
  SLUICE_ASSIGN(const PlanReport plan,
                PlanModel(flags.engine.model, flags.engine.options,
                          {.measure = true,
                           .trace = trace ? &*trace : nullptr,
                           .trace_name = flags.trace}));
  SLUICE_TRY(WriteStdout(flags.json ? JsonReport(plan)
                                    : ExpectationText(plan) + "\n" +
                                          MemoryText(plan)));
  if (!plan.fits) {
    // Rounded up, so that the size in the message is enough.
    constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
    return Fail(
        ErrorCode::kNoMemory,
        fmt::format("{} needs at least --memory {}M, not {}",
                    flags.engine.model, (plan.floor_bytes + kMib - 1) / kMib,
                    FormatSize(plan.memory_bytes)));
  }
  if (plan.below_working_set) {
    fmt::print(stderr,
               "note: the slots are fewer than one token's {} experts, so a "
               "token cannot reuse all that the last one read\n",
               plan.experts_per_token);
  }
  return ExitCode::kOk;
}

}  // namespace

Command AddPlan(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand(
      "plan", "Show what would be resident and what would stream");
  auto flags = std::make_shared<PlanFlags>();
  AddSwitch(*app, {"--json", "", "print one JSON object", "Output"},
            &flags->json);
  AddEngineFlags(*app, &flags->engine, kContextHelp);
  AddText(*app,
          {"--trace", "FILE",
           "expect the hit rate that this routing would have (default: a model "
           "of routing)",
           "Output"},
          &flags->trace);
  app->footer(kFooter);
  return {app, [flags] { return Plan(*flags); }};
}

}  // namespace sluice::tools
