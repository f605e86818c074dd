// `sluice eval`: the perplexity of a text.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
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
    "tokens; every token of a window but its first is scored. With a lossy "
    "option\n"
    "the text is evaluated once more without, to say what the option costs.\n"
    "\n"
    "Examples:\n"
    "  sluice eval model.gguf --text held.txt --memory 2G\n"
    "  sluice eval model.gguf --text - --ctx 512 --json < held.txt";

constexpr std::size_t kWindow = 256;  // of the published perplexities

struct EvalFlags {
  EngineFlags engine;
  std::string text;
  bool no_exact = false;
  bool json = false;
};

struct Evaluation {
  PerplexityResult perplexity;
  Counters counters;
  double seconds = 0;
  std::size_t text_bytes = 0;
  std::uint64_t peak_bytes = 0;
  // Without any lossy option; none: nothing was lossy, or it was not asked for.
  std::optional<double> exact;

  // The perplexity's rise over the exact one, of which it is a share.
  std::optional<double> change() const {
    if (!exact) return std::nullopt;
    return perplexity.perplexity / *exact - 1;
  }
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
  evaluation.peak_bytes = PeakResidentBytes();
  return evaluation;
}

// The perplexity without lossy options; none, and why in a line on stderr, when
// the model cannot be run so, as for memory.
std::optional<double> ExactPerplexity(EngineFlags flags,
                                      const std::string& text) {
  EngineOptions& options = flags.options;
  options.precision = ExpertPrecision::kFull;
  options.precision_map.clear();
  options.t1 = 1;
  options.t2 = 1;
  options.kv_format = KvFormat::kF16;
  flags.trace.clear();
  const Result<double> exact = [&]() -> Result<double> {
    SLUICE_ASSIGN(OpenModel model, OpenForUse(flags));
    SLUICE_ASSIGN(const Evaluation evaluation,
                  Evaluate(model, text, options.context));
    return evaluation.perplexity.perplexity;
  }();
  if (exact) return *exact;
  fmt::print(stderr, "sluice: no exact perplexity to compare with: {}\n",
             exact.error().message);
  return std::nullopt;
}

std::string JsonReport(const Evaluation& evaluation, const ModeReport& mode) {
  const PerplexityResult& result = evaluation.perplexity;
  const Counters& counters = evaluation.counters;
  nlohmann::ordered_json json = {
      {"perplexity", result.perplexity},
      {"exact_perplexity", ToJson(evaluation.exact)},
      {"perplexity_change", ToJson(evaluation.change())},
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
      {"peak_rss_bytes", evaluation.peak_bytes},
  };
  AddMode(json, mode);
  return Dump(json);
}

std::string TextReport(const Evaluation& evaluation, const ModeReport& mode) {
  const PerplexityResult& result = evaluation.perplexity;
  const Counters& counters = evaluation.counters;
  Table table("ll");
  table.AddRow({"perplexity", fmt::format("{:.4f}", result.perplexity)});
  if (evaluation.exact) {
    table.AddRow(
        {"exact", fmt::format("{:.4f}; the loss is {:.2f} %", *evaluation.exact,
                              100 * *evaluation.change())});
  }
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
  table.AddRow({"peak memory", FormatSize(evaluation.peak_bytes)});
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
  Evaluation evaluation;
  ModeReport mode;
  Result<void> traced;
  {
    SLUICE_ASSIGN(OpenModel model, OpenForUse(engine));
    SLUICE_ASSIGN(evaluation, Evaluate(model, text, engine.options.context));
    traced = model.FinishTrace();
    mode = model.engine->mode();
  }
  if (mode.lossy && !flags.no_exact) {
    evaluation.exact = ExactPerplexity(engine, text);
  }
  SLUICE_TRY(WriteStdout(flags.json ? JsonReport(evaluation, mode)
                                    : TextReport(evaluation, mode)));
  if (!traced) return Forward(std::move(traced));
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
  AddSwitch(*app,
            {"--no-exact", "",
             "with a lossy option: do not evaluate without it as well",
             "Input and output"},
            &flags->no_exact);
  AddSwitch(*app, {"--json", "", "print one JSON object", "Input and output"},
            &flags->json);
  AddEngineFlags(*app, &flags->engine,
                 "tokens of a window, and of context (default 256)");
  AddTraceFlag(*app, &flags->engine);
  app->footer(kFooter);
  return {app, [flags] { return Eval(*flags); }};
}

}  // namespace sluice::tools
