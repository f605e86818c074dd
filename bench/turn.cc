// One of several ways to run a model that are measured in turns: works only
// when it is told to, so that each way meets the machine as the others do.
// bench/turns.py starts some and compares them.
//
//   turn decode|prompt|meter MODEL [FLAGS of sluice run] [--tokens N] ...
//
// Prints one line of JSON when it is ready, with what the plan expected, and
// one for each line that it then reads from its input, of what it did: decoded
// N tokens, or ran a prompt of N, or measured what the machine allows. Ends
// with its input.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/plan_api.h"
#include "tools/engine_flags.h"
#include "tools/exit_code.h"
#include "tools/flag_values.h"
#include "tools/open_model.h"
#include "tools/random_tokens.h"

namespace sluice::bench {
namespace {

using nlohmann::json;

struct Flags {
  tools::EngineFlags engine;
  std::size_t tokens = 8;
  std::size_t prompt = 64;
  std::uint64_t seed = 1;
};

// Whether another turn is wanted.
bool AwaitTurn() {
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line));
}

void Say(const json& object) {
  fmt::print("{}\n", object.dump());
  std::fflush(stdout);
}

// What happens between its making and Finish().
class Turn {
 public:
  explicit Turn(Engine& engine)
      : engine_(engine),
        speeds_before_(engine.MeasureBriefly()),
        before_(engine.counters()) {}

  void Finish(std::size_t tokens) const {
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start_;
    const Counters did = engine_.counters() - before_;
    const BriefSpeeds speeds = engine_.MeasureBriefly();
    Say({{"seconds", seconds.count()},
         {"tokens", tokens},
         {"lookups", did.expert_lookups},
         {"hits", did.expert_hits},
         {"reads", did.flash_reads},
         {"flash_bytes", did.flash_bytes},
         {"stall_seconds", did.stall_seconds},
         {"attention_seconds", did.attention_seconds},
         {"router_seconds", did.router_seconds},
         {"experts_seconds", did.experts_seconds},
         {"output_seconds", did.output_seconds},
         {"cpu_seconds", did.cpu_seconds},
         {"prefetch_issued", did.prefetch_issued},
         {"prefetch_useful", did.prefetch_useful},
         {"prefetch_late", did.prefetch_late},
         {"prefetch_wasted", did.prefetch_wasted},
         {"dram_bytes_per_second", (speeds_before_.dram_bytes_per_second +
                                    speeds.dram_bytes_per_second) /
                                       2},
         {"int8_macs_per_second",
          (speeds_before_.int8_macs_per_second + speeds.int8_macs_per_second) /
              2},
         {"peak_bytes", PeakResidentBytes()}});
  }

 private:
  Engine& engine_;
  const BriefSpeeds speeds_before_;
  const Counters before_;
  const std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
};

// One generation, held up in its callback between turns; ready when its prompt
// is through.
Result<void> Decode(const Flags& flags, const json& ready,
                    tools::OpenModel& model) {
  bool said = false;
  std::size_t done = 0;
  std::optional<Turn> turn;
  GenerateRequest request;
  request.prompt =
      tools::RandomTokens(flags.prompt, model.engine->vocabulary(), flags.seed);
  request.max_tokens = std::numeric_limits<std::size_t>::max();
  request.ignore_eos = true;
  request.sampler.seed = flags.seed;
  request.on_token = [&](TokenId, std::string_view) {
    if (!said) Say(ready);
    said = true;
    if (turn && ++done < flags.tokens) return true;
    if (turn) turn->Finish(done);
    done = 0;
    turn.reset();
    if (!AwaitTurn()) return false;
    turn.emplace(*model.engine);
    return true;
  };
  SLUICE_TRY(model.session->Generate(request));
  return {};
}

// Another prompt in each turn.
Result<void> Prompts(const Flags& flags, const json& ready,
                     tools::OpenModel& model) {
  Say(ready);
  GenerateRequest request;
  request.max_tokens = 1;
  for (std::uint64_t seed = flags.seed; AwaitTurn(); ++seed) {
    request.prompt =
        tools::RandomTokens(flags.tokens, model.engine->vocabulary(), seed);
    model.session->Reset();
    const Turn turn(*model.engine);
    SLUICE_TRY(model.session->Generate(request));
    turn.Finish(flags.tokens);
  }
  return {};
}

Result<void> Meter(const Flags& flags, const json& ready,
                   tools::OpenModel& model) {
  GenerateRequest request;  // so that there are experts in memory
  request.prompt =
      tools::RandomTokens(flags.prompt, model.engine->vocabulary(), flags.seed);
  request.max_tokens = 8;
  SLUICE_TRY(model.session->Generate(request));
  Say(ready);
  while (AwaitTurn()) {
    SLUICE_ASSIGN(const HardwareReport report, model.engine->MeasureHardware());
    Say({{"dram_bytes_per_second", report.dram_bytes_per_second},
         {"flash_bytes_per_second", report.flash_bytes_per_second},
         {"dram_beside_flash_bytes_per_second",
          report.dram_beside_flash_bytes_per_second},
         {"flash_beside_dram_bytes_per_second",
          report.flash_beside_dram_bytes_per_second},
         {"int8_macs_per_second", report.int8_macs_per_second},
         {"decode_bytes", report.decode_bytes},
         {"prefill_macs", report.prefill_macs},
         {"output_macs", report.output_macs}});
  }
  return {};
}

Result<void> Run(const std::string& what, const Flags& flags) {
  SLUICE_ASSIGN(const PlanReport plan,
                PlanModel(flags.engine.model, flags.engine.options,
                          {.measure = what == "decode"}));
  SLUICE_ASSIGN(tools::OpenModel model, tools::OpenForUse(flags.engine));
  const json ready = {
      {"mode", tools::ModeLine(model.engine->mode())},
      {"expected_tokens_per_second", plan.expected_tokens_per_second},
      {"expected_hit_rate", plan.expected_hit_rate},
      {"expected_compute_seconds", plan.expected_compute_seconds_per_token},
      {"expected_stall_seconds", plan.expected_stall_seconds_per_token},
      {"planned_dram_bytes_per_second", plan.speeds.dram_bytes_per_second},
      {"planned_weights_bytes_per_second",
       plan.speeds.weights_bytes_per_second},
      {"memory_bytes", plan.memory_bytes}};
  if (what == "decode") return Decode(flags, ready, model);
  if (what == "prompt") return Prompts(flags, ready, model);
  return Meter(flags, ready, model);
}

void AddFlags(CLI::App& app, Flags* flags) {
  tools::AddEngineFlags(app, &flags->engine, tools::kContextHelp);
  tools::AddInteger(app, {"--tokens", "N", "of a turn (default 8)"},
                    {1, 1 << 20},
                    [flags](std::int64_t n) { flags->tokens = n; });
  tools::AddInteger(app, {"--prompt-tokens", "N", "before (default 64)"},
                    {1, 1 << 20},
                    [flags](std::int64_t n) { flags->prompt = n; });
  tools::AddInteger(app, {"--seed", "N", "of prompts and sampling (default 1)"},
                    {0, 1 << 30}, [flags](std::int64_t n) { flags->seed = n; });
}

int Main(int argc, char** argv) {
  CLI::App app("Runs a model in turns; see bench/turns.py.", "turn");
  app.require_subcommand(1);
  Flags flags;
  for (const char* what : {"decode", "prompt", "meter"}) {
    AddFlags(*app.add_subcommand(what), &flags);
  }
  CLI11_PARSE(app, argc, argv);
  const std::string what = app.get_subcommands().front()->get_name();
  const Result<void> ran = Run(what, flags);
  return static_cast<int>(ran ? tools::ExitCode::kOk
                              : tools::ReportError("turn", ran.error()));
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
