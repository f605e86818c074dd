// `sluice verify`: reads a container whole and checks it.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
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

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Checks every byte: structure, checksums and padding, and that compressed "
    "experts\n"
    "can be unpacked. Names the first section, tensor or expert that is "
    "damaged; exit\n"
    "code 1.\n"
    "\n"
    "Examples:\n"
    "  sluice verify model.sluice\n"
    "  sluice verify model.sluice --json | jq .records";

struct VerifyFlags {
  std::string file;
  bool json = false;
};

std::string TextReport(const VerifyFlags& flags,
                       const VerifyModelReport& report, double seconds) {
  return fmt::format(
      "{}: sound; {}, {} experts{}, {} dense tensors; read in {} s, {}\n",
      flags.file, FormatSize(report.file_bytes), report.records,
      report.compressed ? " (compressed)" : "", report.dense_tensors,
      FigureText(seconds),
      RateText(static_cast<double>(report.file_bytes) / seconds));
}

std::string JsonReport(const VerifyFlags& flags,
                       const VerifyModelReport& report, double seconds) {
  const nlohmann::ordered_json json = {
      {"file", flags.file},
      {"file_bytes", report.file_bytes},
      {"records", report.records},
      {"parts", report.parts},
      {"dense_tensors", report.dense_tensors},
      {"compressed", report.compressed},
      {"seconds", seconds},
      {"bytes_per_second", static_cast<double>(report.file_bytes) / seconds},
  };
  return Dump(json);
}

Result<ExitCode> Verify(const VerifyFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  Progress progress("verifying", Progress::Unit::kBytes);
  SLUICE_ASSIGN(
      const VerifyModelReport report,
      VerifyModel(flags.file, [&](std::uint64_t done, std::uint64_t total) {
        progress.Update(done, total);
        return true;
      }));
  progress.Erase();
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  SLUICE_TRY(WriteStdout(flags.json
                             ? JsonReport(flags, report, elapsed.count())
                             : TextReport(flags, report, elapsed.count())));
  return ExitCode::kOk;
}

}  // namespace

Command AddVerify(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("verify", "Check every byte of a container");
  auto flags = std::make_shared<VerifyFlags>();
  AddText(*app, {"FILE", "", "the container (.sluice)"}, &flags->file)
      ->required();
  AddSwitch(*app, {"--json", "", "print one JSON object"}, &flags->json);
  app->footer(kFooter);
  return {app, [flags] { return Verify(*flags); }};
}

}  // namespace sluice::tools
