// `sluice probe`: what a device gives for reads of each size and depth.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/container_api.h"
#include "engine/size_text.h"
#include "tools/commands.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/table.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Reads at random places of a file, or of a scratch file of 256 MiB in a "
    "folder,\n"
    "past the page cache: about three seconds, half a second with --quick.\n"
    "\n"
    "Examples:\n"
    "  sluice probe model.sluice\n"
    "  sluice probe /mnt/flash --quick\n"
    "  sluice probe model.sluice --json | jq .choice";

struct ProbeFlags {
  ProbeOptions options;
  bool json = false;
};

std::string Millis(double seconds) {
  return fmt::format("{:.3f}", seconds * 1000);
}

std::string TextReport(const ProbeReport& report) {
  Table table("rrrrr");
  table.AddRow({"request", "depth", "bandwidth", "median ms", "p99 ms"});
  for (const ProbePoint& point : report.points) {
    table.AddRow({FormatSize(point.request_bytes),
                  fmt::format("{}", point.depth),
                  RateText(point.bytes_per_second),
                  Millis(point.median_latency), Millis(point.p99_latency)});
  }
  return table.Text() +
         fmt::format(
             "{} of {} through {}{}\n"
             "least that reaches 95% of the best: {}, {} at a time, {}\n",
             report.scratch ? "a scratch file" : "a file",
             FormatSize(report.file_bytes), report.device,
             report.direct ? "" : "; not direct, may be the page cache's speed",
             FormatSize(report.choice.request_bytes), report.choice.depth,
             RateText(report.choice.bytes_per_second));
}

nlohmann::ordered_json PointJson(const ProbePoint& point) {
  return {{"request_bytes", point.request_bytes},
          {"depth", point.depth},
          {"bytes_per_second", point.bytes_per_second},
          {"median_latency_seconds", point.median_latency},
          {"p99_latency_seconds", point.p99_latency}};
}

std::string JsonReport(const ProbeFlags& flags, const ProbeReport& report) {
  nlohmann::ordered_json json = {
      {"path", flags.options.path},      {"scratch", report.scratch},
      {"file_bytes", report.file_bytes}, {"device", report.device},
      {"direct", report.direct},         {"choice", PointJson(report.choice)}};
  json["points"] = nlohmann::ordered_json::array();
  for (const ProbePoint& point : report.points) {
    json["points"].push_back(PointJson(point));
  }
  return Dump(json);
}

Result<ExitCode> Probe(const ProbeFlags& flags) {
  ProbeOptions options = flags.options;
  Progress progress("probing", Progress::Unit::kPoints);
  options.progress = [&progress](std::size_t done, std::size_t total) {
    progress.Update(done, total);
    return true;
  };
  SLUICE_ASSIGN(const ProbeReport report, ProbeFlash(options));
  progress.Erase();
  SLUICE_TRY(
      WriteStdout(flags.json ? JsonReport(flags, report) : TextReport(report)));
  return ExitCode::kOk;
}

}  // namespace

Command AddProbe(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("probe", "Measure reads of a file or a folder");
  auto flags = std::make_shared<ProbeFlags>();
  AddText(*app, {"PATH", "", "a file to read, or a folder for a scratch file"},
          &flags->options.path)
      ->required();
  AddSwitch(*app, {"--quick", "", "fewer points, in half a second"},
            &flags->options.quick);
  AddSwitch(*app, {"--json", "", "print one JSON object"}, &flags->json);
  app->footer(kFooter);
  return {app, [flags] { return Probe(*flags); }};
}

}  // namespace sluice::tools
