#include "tools/bench_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/size_text.h"
#include "tools/predictor_table.h"
#include "tools/table.h"

namespace sluice::tools {
namespace {

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

// `figure` of a run; none where it has no meaning.
std::optional<Spread> SpreadOf(const std::vector<BenchRun>& runs,
                               const auto& figure) {
  std::vector<double> values;
  for (const BenchRun& run : runs) {
    const std::optional<double> value = figure(run);
    if (value) values.push_back(*value);
  }
  return SpreadOf(std::move(values));
}

std::optional<Spread> SpreadOf(const std::vector<BenchRun>& runs,
                               std::optional<double> Timings::* figure) {
  return SpreadOf(runs,
                  [=](const BenchRun& run) { return run.timings.*figure; });
}

// The median of `figure`.
std::optional<double> MedianOf(const std::vector<BenchRun>& runs,
                               const auto& figure) {
  const std::optional<Spread> spread = SpreadOf(runs, figure);
  return spread ? std::optional(spread->median) : std::nullopt;
}

// The median of each figure.
Bounds BoundsOf(const std::vector<BenchRun>& runs) {
  Bounds medians;
  for (const BoundField& field : kBoundFields) {
    medians.*field.value = MedianOf(
        runs, [&](const BenchRun& run) { return run.bounds.*field.value; });
  }
  return medians;
}

// The median of each part.
TimeSplit SplitOf(const std::vector<BenchRun>& runs,
                  TimeSplit Timings::* split) {
  TimeSplit medians;
  for (const TimePart& part : kTimeParts) {
    medians.*part.value = MedianOf(runs, [&](const BenchRun& run) {
      return run.timings.*split.*part.value;
    });
  }
  return medians;
}

// What the plan said before the model was loaded, over what then was.
std::optional<double> PlannedShare(const PlanReport& plan,
                                   const std::vector<BenchRun>& runs) {
  const auto measured = MedianOf(runs, &Timings::decode_tokens_per_second);
  if (!measured) return std::nullopt;
  return plan.expected_tokens_per_second / *measured;
}

std::string BoundsText(const Bounds& bounds) {
  std::string text = fmt::format(
      "bounds: prefill {} tokens/s (reached {}), decode {} tokens/s (reached "
      "{}); memory {} GB/s, flash {} GB/s, int8 {} GMAC/s\n",
      FigureText(bounds.prefill_bound_tokens_per_second),
      ShareText(bounds.prefill_share),
      FigureText(bounds.decode_bound_tokens_per_second),
      ShareText(bounds.decode_share),
      FigureText(bounds.dram_bytes_per_second, 1e-9),
      FigureText(bounds.flash_bytes_per_second, 1e-9),
      FigureText(bounds.int8_macs_per_second, 1e-9));
  if (bounds.decode_share_at_once) {
    text += fmt::format(
        "at once: memory {} GB/s and flash {} GB/s, which allow decode {} "
        "tokens/s (reached {})\n",
        FigureText(bounds.dram_beside_flash_bytes_per_second, 1e-9),
        FigureText(bounds.flash_beside_dram_bytes_per_second, 1e-9),
        FigureText(bounds.decode_at_once_tokens_per_second),
        ShareText(bounds.decode_share_at_once));
  }
  return text;
}

// Where the time of a token goes.
std::string SplitText(const std::vector<BenchRun>& runs) {
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

std::string PlanText(const PlanReport& plan,
                     const std::vector<BenchRun>& runs) {
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

}  // namespace

std::string BenchReport::Json() const {
  nlohmann::ordered_json json;
  json["model"] = name;
  AddMode(json, model.engine->mode());
  json["prompt_tokens"] = work.prompt_tokens;
  json["gen_tokens"] = work.gen_tokens;
  json["reps"] = runs.size();
  nlohmann::ordered_json spreads;
  for (const TimingField& field : kTimingFields) {
    const std::optional<Spread> spread = SpreadOf(runs, field.value);
    json[field.name] =
        ToJson(spread ? std::optional(spread->median) : std::nullopt);
    if (spread) spreads[field.name] = {spread->least, spread->most};
  }
  const Bounds medians = BoundsOf(runs);
  for (const BoundField& field : kBoundFields) {
    json[field.name] = ToJson(medians.*field.value);
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
  for (const BenchRun& run : runs) {
    nlohmann::ordered_json repetition;
    AddTimings(repetition, run.timings);
    for (const BoundField& field : kBoundFields) {
      repetition[field.name] = ToJson(run.bounds.*field.value);
    }
    json["repetitions"].push_back(std::move(repetition));
  }
  return Dump(json);
}

std::string BenchReport::Text() const {
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
    const auto spread = SpreadOf(runs, row.value);
    if (!spread) {
      table.AddRow({row.label, "-", "-", "-"});
      continue;
    }
    table.AddRow({row.label, row.format(spread->median),
                  row.format(spread->least), row.format(spread->most)});
  }
  return table.Text() + SplitText(runs) +
         PredictorTable(model.engine->predictor_reports()) +
         BoundsText(BoundsOf(runs)) + PlanText(plan, runs) +
         fmt::format(
             "{} prompt and {} generated tokens, {} repetitions; loaded in "
             "{} s; peak memory {}\n",
             work.prompt_tokens, work.gen_tokens, runs.size(),
             FigureText(model.load_seconds), FormatSize(PeakResidentBytes()));
}

}  // namespace sluice::tools
