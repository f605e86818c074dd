// `sluice eval`: the perplexity of a text.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/size_text.h"
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
    "The text is tokenized without BOS and split into separate windows of "
    "--ctx\n"
    "tokens; every token of a window but its first is scored.\n"
    "\n"
    "Examples:\n"
    "  sluice eval model.gguf --text held.txt --memory 2G\n"
    "  sluice eval model.gguf --text - --ctx 512 --json < held.txt";

constexpr std::size_t kWindow = 256;  // of the published perplexities

struct EvalFlags {
  EngineFlags engine;
  std::string text;
  bool json = false;
};

struct Evaluation {
  PerplexityResult perplexity;
  Counters counters;
  double seconds = 0;
  std::size_t text_bytes = 0;

  std::optional<double> tokens_per_second() const {
    if (!(seconds > 0)) return std::nullopt;
    return static_cast<double>(counters.tokens) / seconds;
  }
};

Result<Evaluation> Evaluate(OpenModel& model, const std::string& text,
                            std::size_t window) {
  Evaluation evaluation;
  evaluation.text_bytes = text.size();
  const std::vector<TokenId> tokens =
      model.engine->tokenizer().Encode(text, {.add_special = false});
  const Counters before = model.engine->counters();
  const auto start = std::chrono::steady_clock::now();
  Progress progress("evaluating", Progress::Unit::kTokens);
  SLUICE_ASSIGN(evaluation.perplexity,
                Perplexity(*model.session, tokens, window,
                           [&progress](std::size_t done, std::size_t total) {
                             progress.Update(done, total);
                             return true;
                           }));
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  evaluation.seconds = elapsed.count();
  evaluation.counters = model.engine->counters() - before;
  return evaluation;
}

std::string JsonReport(const Evaluation& evaluation, const ModeReport& mode) {
  const PerplexityResult& result = evaluation.perplexity;
  const Counters& counters = evaluation.counters;
  nlohmann::ordered_json json = {
      {"perplexity", result.perplexity},
      {"tokens", result.tokens},
      {"windows", result.windows},
      {"mean_negative_log_likelihood", result.mean_negative_log_likelihood},
      {"text_bytes", evaluation.text_bytes},
      {"seconds", evaluation.seconds},
      {"tokens_per_second", ToJson(evaluation.tokens_per_second())},
      {"flash_bytes", counters.flash_bytes},
      {"flash_reads", counters.flash_reads},
      {"hit_rate", ToJson(HitRate(counters, mode))},
      {"base_loads", counters.base_loads},
      {"base_uses", counters.base_uses},
      {"upgrades", counters.upgrades},
      {"skips", counters.skips},
      {"prefetch_bases", counters.prefetch_bases},
      {"stall_seconds", counters.stall_seconds},
      {"peak_rss_bytes", PeakResidentBytes()},
  };
  AddMode(json, mode);
  return Dump(json);
}

std::string TextReport(const Evaluation& evaluation, const ModeReport& mode) {
  const PerplexityResult& result = evaluation.perplexity;
  const Counters& counters = evaluation.counters;
  Table table("ll");
  table.AddRow({"perplexity", fmt::format("{:.4f}", result.perplexity)});
  table.AddRow({"tokens scored", fmt::format("{} in {} windows", result.tokens,
                                             result.windows)});
  table.AddRow({"text", FormatSize(evaluation.text_bytes)});
  table.AddRow(
      {"time", fmt::format("{} s, {} tokens/s", FigureText(evaluation.seconds),
                           FigureText(evaluation.tokens_per_second()))});
  table.AddRow(
      {"read", fmt::format("{} in {} reads", FormatSize(counters.flash_bytes),
                           counters.flash_reads)});
  table.AddRow({"hit rate", ShareText(HitRate(counters, mode))});
  table.AddRow({"peak memory", FormatSize(PeakResidentBytes())});
  return table.Text();
}

Result<ExitCode> Eval(const EvalFlags& flags) {
  SLUICE_ASSIGN(const std::string text, ReadNonEmptyFile(flags.text));
  EngineFlags engine = flags.engine;
  if (engine.options.context == 0) engine.options.context = kWindow;
  if (engine.options.context < 2) {
    return Fail(ErrorCode::kInvalidArgument,
                "--ctx: a window of one token scores nothing; give 2 or more");
  }
  SLUICE_ASSIGN(OpenModel model, OpenForUse(engine));
  SLUICE_ASSIGN(const Evaluation evaluation,
                Evaluate(model, text, engine.options.context));
  SLUICE_TRY(model.FinishTrace());
  const ModeReport& mode = model.engine->mode();
  SLUICE_TRY(WriteStdout(flags.json ? JsonReport(evaluation, mode)
                                    : TextReport(evaluation, mode)));
  return ExitCode::kOk;
}

}  // namespace

Command AddEval(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("eval", "Measure the perplexity of a text");
  auto flags = std::make_shared<EvalFlags>();
  AddText(*app,
          {"--text", "FILE", "the text, - for stdin (required)",
           "Input and output"},
          &flags->text)
      ->required();
  AddSwitch(*app, {"--json", "", "print one JSON object", "Input and output"},
            &flags->json);
  AddEngineFlags(*app, &flags->engine,
                 "tokens of a window, and of context (default 256)");
  AddTraceFlag(*app, &flags->engine);
  app->footer(kFooter);
  return {app, [flags] { return Eval(*flags); }};
}

}  // namespace sluice::tools
