// `sluice calibrate`: which experts may be read at lower precision for how much
// loss.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/precision_calibration.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/open_model.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/table.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "MODEL is a container of repack --planes. The text goes through it in "
    "windows of\n"
    "--ctx tokens. On some of them each expert is made a base plane alone, one "
    "at a\n"
    "time; how far that moves what the model expects is its importance. On the "
    "others\n"
    "the least important ones are made so together, as many as the tolerance "
    "allows:\n"
    "the rise of the perplexity and two standard errors of it, from window to "
    "window,\n"
    "are within it. The surer the rise, the more may be low, so give much text "
    "(100 KB\n"
    "or more), like what will be run. OUT says which, and appears only when "
    "complete.\n"
    "\n"
    "Examples:\n"
    "  sluice calibrate planes.sluice --text book.txt --tolerance 0.5\n"
    "  sluice run planes.sluice -p \"Once\" --memory 2G \\\n"
    "    --precision-map planes.sluice.map";

struct CalibrateFlags {
  EngineFlags engine;
  std::string text;
  std::string out;  // empty: beside the model
  float tolerance = 1;
  std::size_t tokens = 2048;
  bool json = false;
};

std::string JsonReport(const CalibrationReport& report,
                       const CalibrateFlags& flags, const std::string& out,
                       const ModeReport& mode) {
  nlohmann::ordered_json json = {
      {"tolerance_percent", flags.tolerance},
      {"map", out},
      {"sampled_tokens", report.sampled_tokens},
      {"checked_tokens", report.checked_tokens},
      {"checked_windows", report.checked_windows},
      {"perplexity", report.full_perplexity},
      {"map_rise_percent", report.map.mean},
      {"map_rise_standard_error", report.map.error},
      {"map_rise_upper_percent", report.map.upper},
      {"base_rise_percent", report.base.mean},
      {"base_rise_standard_error", report.base.error},
      {"base_rise_upper_percent", report.base.upper},
      {"calibrated_low_experts", report.low_experts},
      {"low_uses_share", report.low_uses_share},
      {"bytes_share", report.bytes_share},
      {"rank_weights", report.rank_weights},
      {"experts", nlohmann::ordered_json::array()},
      {"peak_rss_bytes", PeakResidentBytes()}};
  for (const ExpertCalibration& expert : report.table) {
    json["experts"].push_back({{"layer", expert.layer},
                               {"expert", expert.expert},
                               {"uses", expert.uses},
                               {"weight_error", expert.weight_error},
                               {"loss_rise", expert.loss_rise},
                               {"divergence", expert.divergence},
                               {"low", expert.low}});
  }
  AddMode(json, mode);
  return Dump(json);
}

// The weight of each rank, and of it and all before it.
std::string RankText(const CalibrationReport& report) {
  Table table("lrr");
  table.AddRow({"rank", "weight", "up to it"});
  double sum = 0;
  for (std::size_t i = 0; i < report.rank_weights.size(); ++i) {
    sum += report.rank_weights[i];
    table.AddRow({fmt::format("{}", i + 1),
                  fmt::format("{:.3f}", report.rank_weights[i]),
                  fmt::format("{:.3f}", sum)});
  }
  return table.Text();
}

// "least median most" of `values`, each times `scale`.
std::string QuantileText(std::vector<double> values, double scale) {
  std::ranges::sort(values);
  const std::array at = {values.front(), values[values.size() / 2],
                         values.back()};
  return fmt::format("{:.3f} {:.3f} {:.3f}", at[0] * scale, at[1] * scale,
                     at[2] * scale);
}

std::string LayerText(const CalibrationReport& report) {
  Table table("lrrrr");
  table.AddRow({"layer", "weight error %", "divergence alone, 1e-3 nats",
                "low experts", "low uses"});
  const std::span<const ExpertCalibration> all = report.table;
  for (std::size_t layer = 0; layer < report.layers; ++layer) {
    std::vector<double> errors;
    std::vector<double> divergences;
    std::size_t low = 0;
    std::uint64_t uses = 0;
    std::uint64_t low_uses = 0;
    for (const ExpertCalibration& expert :
         all.subspan(layer * report.experts, report.experts)) {
      errors.push_back(expert.weight_error);
      divergences.push_back(expert.divergence);
      uses += expert.uses;
      if (!expert.low) continue;
      ++low;
      low_uses += expert.uses;
    }
    table.AddRow(
        {fmt::format("{}", layer), QuantileText(errors, 100),
         QuantileText(divergences, 1000),
         fmt::format("{} of {}", low, report.experts),
         ShareText(static_cast<double>(low_uses) / static_cast<double>(uses))});
  }
  return table.Text();
}

std::string RiseText(const PerplexityRise& rise) {
  return fmt::format("{:+.2f} % (standard error {:.2f}, at most {:+.2f} %)",
                     rise.mean, rise.error, rise.upper);
}

std::string TextReport(const CalibrationReport& report,
                       const CalibrateFlags& flags) {
  return fmt::format(
      "{}\n{}(each: least, median, most of a layer's experts)\n\n"
      "{} of {} experts are low: {} of what tokens use, and {} of the bytes\n"
      "perplexity {:.3f}, with the map {}, tolerance {} %\n"
      "with all experts low {}\n"
      "importance measured on {} tokens, perplexity on {} others in {} "
      "windows\n",
      RankText(report), LayerText(report), report.low_experts,
      report.table.size(), ShareText(report.low_uses_share),
      ShareText(report.bytes_share), report.full_perplexity,
      RiseText(report.map), flags.tolerance, RiseText(report.base),
      report.sampled_tokens, report.checked_tokens, report.checked_windows);
}

Result<CalibrationReport> Measure(const CalibrateFlags& flags,
                                  const std::string& text, ModeReport& mode) {
  Progress loading("loading", Progress::Unit::kBytes);
  Progress progress("calibrating", Progress::Unit::kTokens);
  CalibrationOptions options;
  options.engine = flags.engine.options;
  options.engine.on_load = [&loading](std::uint64_t done, std::uint64_t total) {
    loading.Update(done, total);
  };
  options.tolerance = flags.tolerance;
  options.tokens = flags.tokens;
  options.on_open = [&](const ModeReport& opened) {
    loading.Erase();
    mode = opened;
    fmt::print(stderr, "{}\n", ModeLine(mode));
  };
  options.progress = [&progress](std::uint64_t done, std::uint64_t total) {
    progress.Update(done, total);
    return true;
  };
  return CalibratePrecision(flags.engine.model, text, options);
}

Result<ExitCode> Calibrate(const CalibrateFlags& flags) {
  const std::string path =
      flags.out.empty() ? flags.engine.model + ".map" : flags.out;
  if (flags.json && path == "-") {
    return Fail(ErrorCode::kInvalidArgument,
                "--json: stdout is taken by --out -; give --out a file");
  }
  SLUICE_ASSIGN(const std::string text, ReadNonEmptyFile(flags.text));
  SLUICE_ASSIGN(const std::unique_ptr<OutputFile> out,
                OutputFile::Create(path));
  ModeReport mode;
  SLUICE_ASSIGN(const CalibrationReport report, Measure(flags, text, mode));
  SLUICE_TRY(out->Write(report.map_text));
  SLUICE_TRY(out->Commit());
  SLUICE_TRY(WriteStdout(flags.json    ? JsonReport(report, flags, path, mode)
                         : path == "-" ? ""
                                       : TextReport(report, flags)));
  return ExitCode::kOk;
}

}  // namespace

Command AddCalibrate(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand(
      "calibrate", "Choose experts that may be read at lower precision");
  auto flags = std::make_shared<CalibrateFlags>();
  constexpr const char* kGroup = "Input and output";
  AddText(*app, {"--text", "FILE", "the text, - for stdin (required)", kGroup},
          &flags->text)
      ->required();
  AddReal(*app,
          {"--tolerance", "PERCENT",
           "how much the perplexity may rise, two standard errors included "
           "(default 1)",
           kGroup},
          {0, 1000}, &flags->tolerance);
  AddInteger(*app,
             {"--tokens", "N",
              "tokens on which experts are made low one at a time, at most "
              "half of the text (default 2048)",
              kGroup},
             {2, 1 << 24}, [flags](std::int64_t n) {
               flags->tokens = static_cast<std::size_t>(n);
             });
  AddText(*app,
          {"--out", "FILE",
           "where the map goes, - for stdout (default: MODEL.map)", kGroup},
          &flags->out);
  AddSwitch(*app, {"--json", "", "print one JSON object", kGroup},
            &flags->json);
  AddEngineFlags(*app, &flags->engine,
                 "tokens of a window, and of context (default 256)");
  app->footer(kFooter);
  return {app, [flags] { return Calibrate(*flags); }};
}

}  // namespace sluice::tools
