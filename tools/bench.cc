// `sluice bench`: how fast a model runs, and what that cost in reads.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/plan_api.h"
#include "engine/size_text.h"
#include "tools/bounds.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/open_model.h"
#include "tools/predictor_table.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/table.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Every repetition runs the same random prompt, then decodes with the "
    "default\n"
    "sampler and a fixed seed. The expert cache stays warm from one repetition "
    "to\n"
    "the next. Medians over the repetitions, with the least and the most. What "
    "the\n"
    "plan expects is worked out before the model is loaded.\n"
    "\n"
    "Examples:\n"
    "  sluice bench model.gguf --memory 2G\n"
    "  sluice bench model.gguf --prompt-tokens 512 --gen-tokens 0 --reps 5 "
    "--json";

constexpr const char* kWork = "Work";
constexpr std::uint64_t kPromptSeed = 20240229;

struct BenchFlags {
  EngineFlags engine;
  std::size_t prompt_tokens = 128;
  std::size_t gen_tokens = 64;
  std::size_t reps = 3;
  bool json = false;
};

// Of the repetitions in which a figure has a meaning.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

std::optional<Spread> SpreadOf(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return Spread{.median = (values[(n - 1) / 2] + values[n / 2]) / 2,
                .least = values.front(),
                .most = values.back()};
}

std::optional<Spread> SpreadOf(const std::vector<Timings>& runs,
                               const TimingField& field) {
  std::vector<double> values;
  for (const Timings& run : runs) {
    const std::optional<double> value = run.*field.value;
    if (value) values.push_back(*value);
  }
  return SpreadOf(std::move(values));
}

// The median of each part.
TimeSplit SplitOf(const std::vector<Timings>& runs,
                  TimeSplit Timings::* split) {
  TimeSplit medians;
  for (const TimePart& part : kTimeParts) {
    std::vector<double> values;
    for (const Timings& run : runs) {
      const std::optional<double> value = run.*split.*part.value;
      if (value) values.push_back(*value);
    }
    const std::optional<Spread> spread = SpreadOf(std::move(values));
    if (spread) medians.*part.value = spread->median;
  }
  return medians;
}

// Random ids, the same for the same vocabulary on every machine.
std::vector<TokenId> RandomPrompt(std::size_t size, std::size_t vocabulary) {
  std::mt19937_64 random(kPromptSeed);
  std::vector<TokenId> prompt(size);
  for (TokenId& id : prompt) id = static_cast<TokenId>(random() % vocabulary);
  return prompt;
}

Result<Timings> RunOnce(const BenchFlags& flags, OpenModel& model,
                        Progress& progress) {
  const std::size_t total = flags.prompt_tokens + flags.gen_tokens + 1;
  std::size_t done = 0;
  model.session->Reset();
  GenerateRequest request;
  request.prompt =
      RandomPrompt(flags.prompt_tokens, model.engine->vocabulary());
  // The first token comes from the prompt's pass; the rest are decoded.
  request.max_tokens = flags.gen_tokens + 1;
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

// What the plan said before the model was loaded, over what then was.
std::optional<double> PlannedShare(const PlanReport& plan,
                                   const std::vector<Timings>& runs) {
  const auto measured = SpreadOf(
      runs, {"decode_tokens_per_second", &Timings::decode_tokens_per_second});
  if (!measured) return std::nullopt;
  return plan.expected_tokens_per_second / measured->median;
}

std::string JsonReport(const BenchFlags& flags, const OpenModel& model,
                       const PlanReport& plan, const std::vector<Timings>& runs,
                       const Bounds& bounds) {
  nlohmann::ordered_json json;
  json["model"] = flags.engine.model;
  AddMode(json, model.engine->mode());
  json["prompt_tokens"] = flags.prompt_tokens;
  json["gen_tokens"] = flags.gen_tokens;
  json["reps"] = flags.reps;
  nlohmann::ordered_json spreads;
  for (const TimingField& field : kTimingFields) {
    const std::optional<Spread> spread = SpreadOf(runs, field);
    json[field.name] =
        ToJson(spread ? std::optional(spread->median) : std::nullopt);
    if (spread) spreads[field.name] = {spread->least, spread->most};
  }
  for (const BoundField& field : kBoundFields) {
    json[field.name] = ToJson(bounds.*field.value);
  }
  json["planned_decode_tokens_per_second"] = plan.expected_tokens_per_second;
  json["planned_over_measured"] = ToJson(PlannedShare(plan, runs));
  json["planned_hit_rate"] = plan.expected_hit_rate;
  json["planned_from_measured_speeds"] =
      plan.speeds.dram_measured &&
      (plan.speeds.flash_measured || !plan.streaming);
  json["prefill_split"] = ToJson(SplitOf(runs, &Timings::prefill_split));
  json["decode_split"] = ToJson(SplitOf(runs, &Timings::decode_split));
  json["predictors"] = nlohmann::ordered_json::array();
  for (const PredictorReport& report : model.engine->predictor_reports()) {
    json["predictors"].push_back(PredictorJson(report));
  }
  json["load_seconds"] = model.load_seconds;
  json["peak_rss_bytes"] = PeakResidentBytes();
  json["spread"] = spreads;
  json["repetitions"] = nlohmann::ordered_json::array();
  for (const Timings& run : runs) {
    nlohmann::ordered_json repetition;
    AddTimings(repetition, run);
    json["repetitions"].push_back(std::move(repetition));
  }
  return Dump(json);
}

// The median of each figure.
Timings Medians(const std::vector<Timings>& runs) {
  Timings medians;
  for (const TimingField& field : kTimingFields) {
    const std::optional<Spread> spread = SpreadOf(runs, field);
    if (spread) medians.*field.value = spread->median;
  }
  return medians;
}

std::string BoundsText(const Bounds& bounds) {
  return fmt::format(
      "bounds: prefill {} tokens/s (reached {}), decode {} tokens/s (reached "
      "{}); memory {} GB/s, flash {} GB/s, int8 {} GMAC/s\n",
      FigureText(bounds.prefill_bound_tokens_per_second),
      ShareText(bounds.prefill_share),
      FigureText(bounds.decode_bound_tokens_per_second),
      ShareText(bounds.decode_share),
      FigureText(bounds.dram_bytes_per_second, 1e-9),
      FigureText(bounds.flash_bytes_per_second, 1e-9),
      FigureText(bounds.int8_macs_per_second, 1e-9));
}

// Where the time of a token goes.
std::string SplitText(const std::vector<Timings>& runs) {
  const TimeSplit prefill = SplitOf(runs, &Timings::prefill_split);
  const TimeSplit decode = SplitOf(runs, &Timings::decode_split);
  const auto prefill_shares = SharesOf(prefill);
  const auto decode_shares = SharesOf(decode);
  Table table("lrrrr");
  table.AddRow({"ms per token", "prefill", "", "decode", ""});
  for (std::size_t i = 0; i < kTimeParts.size(); ++i) {
    const auto part = kTimeParts[i].value;
    table.AddRow({kTimeParts[i].name, FigureText(prefill.*part, 1000),
                  ShareText(prefill_shares[i]), FigureText(decode.*part, 1000),
                  ShareText(decode_shares[i])});
  }
  return table.Text();
}

std::string PlanText(const PlanReport& plan, const std::vector<Timings>& runs) {
  const auto speed = [](double rate, bool measured) {
    return FigureText(rate, 1e-9) +
           (measured ? " GB/s measured" : " GB/s nominal");
  };
  std::string text = fmt::format(
      "plan: decode {} tokens/s ({} of what was measured), hit rate {}; memory "
      "{}",
      FigureText(plan.expected_tokens_per_second),
      ShareText(PlannedShare(plan, runs)), ShareText(plan.expected_hit_rate),
      speed(plan.speeds.dram_bytes_per_second, plan.speeds.dram_measured));
  if (plan.streaming) {
    text += ", flash " + speed(plan.speeds.flash_bytes_per_second,
                               plan.speeds.flash_measured);
  }
  return text + "\n";
}

std::string TextReport(const BenchFlags& flags, const OpenModel& model,
                       const PlanReport& plan, const std::vector<Timings>& runs,
                       const Bounds& bounds) {
  using Format = std::string (*)(std::optional<double>);
  struct Row {
    const char* label;
    std::optional<double> Timings::* value;
    Format format;
  };
  const Format figure = [](std::optional<double> x) { return FigureText(x); };
  const Format millis = [](std::optional<double> x) {
    return FigureText(x, 1000);
  };
  const Row rows[] = {
      {"prefill tokens/s", &Timings::prefill_tokens_per_second, figure},
      {"decode tokens/s", &Timings::decode_tokens_per_second, figure},
      {"read per token", &Timings::flash_bytes_per_token, BytesText},
      {"reads per token", &Timings::reads_per_token, figure},
      {"hit rate", &Timings::hit_rate, ShareText},
      {"stall ms per token", &Timings::stall_seconds_per_token, millis},
      {"CPU ms per token", &Timings::cpu_seconds_per_token, millis},
      {"guessed, useful", &Timings::prefetch_useful_bytes_per_token, BytesText},
      {"guessed, late", &Timings::prefetch_late_bytes_per_token, BytesText},
      {"guessed, wasted", &Timings::prefetch_wasted_bytes_per_token, BytesText},
      {"prefill hit rate", &Timings::prefill_hit_rate, ShareText},
      {"prefill read", &Timings::prefill_flash_bytes, BytesText},
  };
  Table table("lrrr");
  table.AddRow({"", "median", "least", "most"});
  for (const Row& row : rows) {
    const auto spread = SpreadOf(runs, {row.label, row.value});
    if (!spread) {
      table.AddRow({row.label, "-", "-", "-"});
      continue;
    }
    table.AddRow({row.label, row.format(spread->median),
                  row.format(spread->least), row.format(spread->most)});
  }
  return table.Text() + SplitText(runs) +
         PredictorTable(model.engine->predictor_reports()) +
         BoundsText(bounds) + PlanText(plan, runs) +
         fmt::format(
             "{} prompt and {} generated tokens, {} repetitions; loaded in "
             "{} s; peak memory {}\n",
             flags.prompt_tokens, flags.gen_tokens, flags.reps,
             FigureText(model.load_seconds), FormatSize(PeakResidentBytes()));
}

Result<ExitCode> Bench(const BenchFlags& flags) {
  EngineFlags engine = flags.engine;
  if (engine.options.context == 0) {
    engine.options.context = flags.prompt_tokens + flags.gen_tokens + 1;
  }
  SLUICE_ASSIGN(const PlanReport plan,
                PlanModel(engine.model, engine.options, {.measure = true}));
  SLUICE_ASSIGN(OpenModel model, OpenForUse(engine));
  std::vector<Timings> runs;
  for (std::size_t i = 0; i < flags.reps; ++i) {
    Progress progress(fmt::format("repetition {} of {}", i + 1, flags.reps),
                      Progress::Unit::kTokens);
    SLUICE_ASSIGN(const Timings run, RunOnce(flags, model, progress));
    runs.push_back(run);
  }
  SLUICE_TRY(model.FinishTrace());
  SLUICE_ASSIGN(const HardwareReport hardware, model.engine->MeasureHardware());
  const Bounds bounds = BoundsOf(hardware, Medians(runs), flags.prompt_tokens);
  SLUICE_TRY(WriteStdout(flags.json
                             ? JsonReport(flags, model, plan, runs, bounds)
                             : TextReport(flags, model, plan, runs, bounds)));
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
        {1, 1 << 23}, &flags->prompt_tokens);
  count({"--gen-tokens", "N", "tokens decoded after it (default 64)", kWork},
        {0, 1 << 23}, &flags->gen_tokens);
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
