// `sluice train-predictor`: learns which experts follow which from a text.
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

#include "engine/predictor_training.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/open_model.h"
#include "tools/predictor_table.h"
#include "tools/progress.h"
#include "tools/report.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "The text goes through the model in windows of --ctx tokens. Nine tenths "
    "of the\n"
    "windows are learned from; on the others the table is scored, beside "
    "guesses by\n"
    "how often each expert is used (frequency). OUT appears only when "
    "complete.\n"
    "\n"
    "Examples:\n"
    "  sluice train-predictor model.gguf --text book.txt --out "
    "model.predictor\n"
    "  sluice run model.gguf -p \"Once\" --memory 2G \\\n"
    "    --predictor transition:model.predictor";

constexpr std::size_t kWindow = 512;

struct TrainFlags {
  EngineFlags engine;
  std::string text;
  std::string out;
  bool json = false;
};

using Windows = std::vector<std::span<const TokenId>>;

Windows Split(std::span<const TokenId> tokens, std::size_t window) {
  Windows windows;
  for (std::size_t at = 0; at < tokens.size(); at += window) {
    windows.push_back(tokens.subspan(at, std::min(window, tokens.size() - at)));
  }
  return windows;
}

// Every tenth window is held out, the last in any case, and comes after all
// others.
void OrderForTraining(Windows& windows, std::size_t& learned) {
  Windows held;
  Windows ordered;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const bool hold = i % 10 == 9 || (i + 1 == windows.size() && held.empty());
    (hold ? held : ordered).push_back(windows[i]);
  }
  learned = ordered.size();
  ordered.insert(ordered.end(), held.begin(), held.end());
  windows = std::move(ordered);
}

Result<void> Train(OpenModel& model, std::span<const TokenId> tokens,
                   PredictorTrainer& trainer) {
  Windows windows = Split(tokens, model.session->context());
  if (windows.size() < 2) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("--text: {} tokens are one window of {}; give a "
                            "longer text or a smaller --ctx",
                            tokens.size(), model.session->context()));
  }
  std::size_t learned = 0;
  OrderForTraining(windows, learned);
  Progress progress("learning", Progress::Unit::kTokens);
  std::size_t done = 0;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (i == learned) trainer.BeginScoring();
    model.session->Reset();
    GenerateRequest request;
    request.prompt.assign(windows[i].begin(), windows[i].end());
    request.max_tokens = 0;
    request.whole_prompt = true;
    request.on_prefill = [&](std::size_t tokens_done, std::size_t) {
      progress.Update(done + tokens_done, tokens.size());
      return true;
    };
    SLUICE_ASSIGN(const GenerateResult result,
                  model.session->Generate(request));
    done += result.prompt_tokens;
  }
  return {};
}

std::string JsonReport(const PredictorTrainer& trainer, std::size_t bytes,
                       const ModeReport& mode) {
  nlohmann::ordered_json json = {
      {"tokens", trainer.tokens()},
      {"scored_tokens", trainer.scored_tokens()},
      {"file_bytes", bytes},
      {"transition", PredictorJson(trainer.report())},
      {"control", PredictorJson(trainer.control())},
      {"peak_rss_bytes", PeakResidentBytes()}};
  AddMode(json, mode);
  return Dump(json);
}

std::string TextReport(const PredictorTrainer& trainer) {
  const std::array reports = {trainer.report(), trainer.control()};
  return PredictorTable(reports) +
         fmt::format("learned from {} tokens, scored on {} others\n",
                     trainer.tokens(), trainer.scored_tokens());
}

Result<ExitCode> TrainPredictor(const TrainFlags& flags) {
  if (flags.json && flags.out == "-") {
    return Fail(ErrorCode::kInvalidArgument,
                "--json: stdout is taken by --out -; give --out a file");
  }
  SLUICE_ASSIGN(const std::string text, ReadNonEmptyFile(flags.text));
  SLUICE_ASSIGN(const ModelReport shape, InspectModel(flags.engine.model));
  SLUICE_ASSIGN(PredictorTrainer trainer, PredictorTrainer::Create(shape));
  SLUICE_ASSIGN(const std::unique_ptr<OutputFile> out,
                OutputFile::Create(flags.out));
  EngineFlags engine = flags.engine;
  if (engine.options.context == 0) engine.options.context = kWindow;
  // The counts come out of the budget.
  const std::uint64_t memory =
      engine.options.memory_bytes.value_or(AvailableMemory());
  engine.options.memory_bytes =
      memory - std::min(memory / 2, trainer.memory_bytes());
  engine.options.on_route = [&trainer](const RoutedChunk& chunk) {
    trainer.Observe(chunk);
  };
  SLUICE_ASSIGN(OpenModel model, OpenForUse(engine));
  const std::vector<TokenId> tokens =
      model.engine->tokenizer().Encode(text, {.add_special = false});
  SLUICE_TRY(Train(model, tokens, trainer));
  const std::string file = trainer.File();
  SLUICE_TRY(out->Write(file));
  SLUICE_TRY(out->Commit());
  const ModeReport& mode = model.engine->mode();
  SLUICE_TRY(WriteStdout(flags.json ? JsonReport(trainer, file.size(), mode)
                         : flags.out == "-" ? ""
                                            : TextReport(trainer)));
  return ExitCode::kOk;
}

}  // namespace

Command AddTrainPredictor(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand(
      "train-predictor", "Learn which experts follow which from a text");
  auto flags = std::make_shared<TrainFlags>();
  AddText(*app,
          {"--text", "FILE", "the text, - for stdin (required)",
           "Input and output"},
          &flags->text)
      ->required();
  AddText(*app,
          {"--out", "FILE", "where the table goes, - for stdout (required)",
           "Input and output"},
          &flags->out)
      ->required();
  AddSwitch(*app, {"--json", "", "print one JSON object", "Input and output"},
            &flags->json);
  AddEngineFlags(*app, &flags->engine,
                 "tokens of a window, and of context (default 512)");
  app->footer(kFooter);
  return {app, [flags] { return TrainPredictor(*flags); }};
}

}  // namespace sluice::tools
