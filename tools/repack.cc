// `sluice repack`: makes a container of a GGUF.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/container_api.h"
#include "engine/size_text.h"
#include "tools/commands.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/report.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "A container has the weights of the GGUF, bit for bit, and its tokenizer, "
    "in the\n"
    "order in which they are read: one read per expert. With --planes, experts "
    "are\n"
    "fitted anew and are not the GGUF's bits. An interrupted repack goes on "
    "where it\n"
    "stopped when it is run again.\n"
    "\n"
    "Examples:\n"
    "  sluice repack model.gguf model.sluice\n"
    "  sluice repack model.gguf model.sluice --compress always --force\n"
    "  sluice repack model.gguf model.sluice --json | jq .output_bytes";

struct RepackFlags {
  RepackModelOptions options;
  std::string calibrate;
  bool no_verify = false;
  bool json = false;
};

// One line of progress per phase.
class PhaseProgress {
 public:
  bool operator()(const RepackModelProgress& progress) {
    if (!line_ || phase_ != progress.phase) {
      line_.reset();
      phase_ = progress.phase;
      line_ = std::make_unique<Progress>(Label(phase_),
                                         phase_ == RepackModelPhase::kCalibrate
                                             ? Progress::Unit::kTokens
                                             : Progress::Unit::kBytes);
    }
    line_->Update(progress.done, progress.total);
    return !InterruptRequested();
  }

 private:
  static const char* Label(RepackModelPhase phase) {
    switch (phase) {
      case RepackModelPhase::kCalibrate:
        return "calibrating";
      case RepackModelPhase::kMeasure:
        return "measuring";
      case RepackModelPhase::kWrite:
        return "writing";
      case RepackModelPhase::kVerify:
        break;
    }
    return "verifying";
  }

  RepackModelPhase phase_ = RepackModelPhase::kMeasure;
  std::unique_ptr<Progress> line_;
};

std::optional<double> Rate(double bytes, double seconds) {
  if (seconds <= 0) return std::nullopt;
  return bytes / seconds;
}

std::string DecisionText(const RepackFlags& flags,
                         const CompressionDecision& decision) {
  const char* const verdict =
      decision.compressed ? "experts compressed" : "experts not compressed";
  if (flags.options.planes) {
    return flags.calibrate.empty()
               ? "experts in planes, all weights counting alike\n"
               : fmt::format("experts in planes, calibrated with {}\n",
                             flags.calibrate);
  }
  if (flags.options.compress != CompressExperts::kAuto) {
    return fmt::format("{}, as --compress says\n", verdict);
  }
  if (!decision.measured) {
    return fmt::format("{}, as the interrupted repack decided\n", verdict);
  }
  return fmt::format(
      "{}: flash reads {}, compression leaves {} and unpacks {};\n"
      "  a GB of weights takes {} s stored and {} s compressed\n",
      verdict, RateText(decision.flash_bytes_per_second),
      ShareText(decision.ratio), RateText(decision.decompress_bytes_per_second),
      FigureText(decision.stored_seconds),
      FigureText(decision.compressed_seconds));
}

std::string TextReport(const RepackFlags& flags,
                       const RepackModelReport& report) {
  const double output = static_cast<double>(report.output_bytes);
  std::string text = DecisionText(flags, report.compression);
  text +=
      fmt::format("{}: {}, {} of the GGUF; {} experts, {} dense tensors\n",
                  flags.options.output, FormatSize(report.output_bytes),
                  ShareText(output / static_cast<double>(report.input_bytes)),
                  report.records, report.dense_tensors);
  if (report.resumed) {
    text += fmt::format("went on from an interrupted repack, wrote in {} s",
                        FigureText(report.write_seconds));
  } else {
    text += fmt::format("wrote in {} s, {}", FigureText(report.write_seconds),
                        RateText(Rate(output, report.write_seconds)));
  }
  if (flags.no_verify) return text + "; not verified\n";
  return text + fmt::format("; verified meanwhile and {} s longer\n",
                            FigureText(report.verify_seconds));
}

nlohmann::ordered_json DecisionJson(const CompressionDecision& decision) {
  const auto figure = [&decision](double value) {
    return ToJson(decision.measured ? std::optional(value) : std::nullopt);
  };
  return {
      {"compressed", decision.compressed},
      {"measured", decision.measured},
      {"sample_bytes", decision.sample_bytes},
      {"ratio", figure(decision.ratio)},
      {"flash_bytes_per_second", figure(decision.flash_bytes_per_second)},
      {"decompress_bytes_per_second",
       figure(decision.decompress_bytes_per_second)},
      {"stored_seconds_per_gb", figure(decision.stored_seconds)},
      {"compressed_seconds_per_gb", figure(decision.compressed_seconds)},
  };
}

std::string JsonReport(const RepackFlags& flags,
                       const RepackModelReport& report) {
  const double output = static_cast<double>(report.output_bytes);
  const auto written =
      report.resumed ? std::nullopt : Rate(output, report.write_seconds);
  const nlohmann::ordered_json json = {
      {"input", flags.options.input},
      {"output", flags.options.output},
      {"input_bytes", report.input_bytes},
      {"output_bytes", report.output_bytes},
      {"weight_bytes", report.weight_bytes},
      {"interleaved_bytes", report.interleaved_bytes},
      {"planes", flags.options.planes},
      {"records", report.records},
      {"dense_tensors", report.dense_tensors},
      {"resumed", report.resumed},
      {"verified", !flags.no_verify},
      {"verified_bytes", report.verified_bytes},
      {"compression", DecisionJson(report.compression)},
      {"write_seconds", report.write_seconds},
      {"write_bytes_per_second", ToJson(written)},
      {"verify_seconds",
       ToJson(flags.no_verify ? std::nullopt
                              : std::optional(report.verify_seconds))},
  };
  return Dump(json);
}

Result<ExitCode> Repack(const RepackFlags& flags) {
  RepackModelOptions options = flags.options;
  if (!flags.calibrate.empty()) {
    if (!options.planes) {
      return Fail(ErrorCode::kInvalidArgument,
                  "--calibrate: only planes are fitted; give --planes too");
    }
    SLUICE_ASSIGN(options.calibration_text, ReadNonEmptyFile(flags.calibrate));
  }
  options.verify = !flags.no_verify;
  PhaseProgress progress;
  options.progress = [&progress](const RepackModelProgress& now) {
    return progress(now);
  };
  const GracefulInterrupt graceful;
  const Result<RepackModelReport> report = RepackModel(options);
  progress = {};
  if (!report && report.error().code == ErrorCode::kCancelled) {
    ReportError("repack", report.error());
    return ExitCode::kInterrupted;
  }
  if (!report) return tl::unexpected(report.error());
  SLUICE_TRY(WriteStdout(flags.json ? JsonReport(flags, *report)
                                    : TextReport(flags, *report)));
  return ExitCode::kOk;
}

}  // namespace

Command AddRepack(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand(
      "repack", "Rearrange a GGUF into a container for flash");
  auto flags = std::make_shared<RepackFlags>();
  AddText(*app, {"IN", "", "the GGUF, or the first file of a split one"},
          &flags->options.input)
      ->required();
  AddText(*app, {"OUT", "", "the container to write (.sluice)"},
          &flags->options.output)
      ->required();
  AddChoice(*app,
            {"--compress", "WHEN",
             "compress experts: auto, always or never (default auto: whichever "
             "is measured to be read faster)"},
            {"auto", "always", "never"}, [flags](std::size_t index) {
              constexpr std::array kValues = {CompressExperts::kAuto,
                                              CompressExperts::kAlways,
                                              CompressExperts::kNever};
              flags->options.compress = kValues[index];
            });
  AddSwitch(*app,
            {"--planes", "",
             "experts as nested weights, to be read whole (4.6 bits a weight) "
             "or the base plane alone (2.6 bits); lossy"},
            &flags->options.planes);
  AddText(*app,
          {"--calibrate", "FILE",
           "with --planes: a text, - for stdin, that the model is run over "
           "first, to see which weights matter most"},
          &flags->calibrate);
  AddSwitch(*app, {"--force", "", "replace OUT if it exists"},
            &flags->options.force);
  AddSwitch(*app, {"--no-verify", "", "do not read the result back"},
            &flags->no_verify);
  AddSwitch(*app, {"--json", "", "print one JSON object"}, &flags->json);
  app->footer(kFooter);
  return {app, [flags] { return Repack(*flags); }};
}

}  // namespace sluice::tools
