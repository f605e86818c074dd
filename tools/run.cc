// `sluice run`: a completion of a prompt, streamed as it is generated.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "engine/size_text.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/interrupt.h"
#include "tools/memory_signal.h"
#include "tools/open_model.h"
#include "tools/progress.h"
#include "tools/report.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "Only the completion is printed; the statistics go to stderr. Ctrl-C "
    "stops\n"
    "after the current token. SIGUSR1 halves the memory from the next token "
    "on;\n"
    "the text stays the same, unless --t1 is below 1.\n"
    "\n"
    "Examples:\n"
    "  sluice run model.gguf -p \"Once upon a time\" --memory 2G\n"
    "  sluice run model.gguf -f prompt.txt -n 100 --temp 0 --json\n"
    "  git diff | sluice run model.gguf -f - -c 8192";

constexpr const char* kSampling = "Sampling";
constexpr std::int64_t kMany = std::numeric_limits<std::int32_t>::max();

struct RunFlags {
  EngineFlags engine;
  std::optional<std::string> prompt;
  std::optional<std::string> file;
  std::int64_t predict = 256;  // -1: no limit but the context
  SamplerOptions sampler;
  bool ignore_eos = false;
  bool echo = false;
  bool json = false;
  bool quiet = false;
};

void AddSamplingFlags(CLI::App& app, SamplerOptions* sampler) {
  AddReal(app,
          {"--temp", "X", "temperature; 0 takes the likeliest (default 0.8)",
           kSampling},
          {0, 1000}, &sampler->temperature);
  AddInteger(app,
             {"--top-k", "N", "keep the N likeliest; 0 keeps all (default 40)",
              kSampling},
             {0, kMany}, [sampler](std::int64_t n) {
               sampler->top_k = static_cast<std::int32_t>(n);
             });
  AddReal(app,
          {"--top-p", "X",
           "keep this much probability; 1 keeps all "
           "(default 0.95)",
           kSampling},
          {0, 1}, &sampler->top_p);
  AddReal(app,
          {"--min-p", "X",
           "drop what is less likely than X times the "
           "likeliest; 0 drops none (default 0.05)",
           kSampling},
          {0, 1}, &sampler->min_p);
  AddReal(app,
          {"--repeat-penalty", "X",
           "divide the logits of recent tokens by X; "
           "1 is off (default 1)",
           kSampling},
          {0.01, 1000}, &sampler->repeat_penalty);
  AddInteger(app,
             {"--repeat-last-n", "N",
              "tokens that the penalty looks back on "
              "(default 64)",
              kSampling},
             {0, kMany}, [sampler](std::int64_t n) {
               sampler->repeat_last_n = static_cast<std::int32_t>(n);
             });
  AddInteger(app,
             {"-s,--seed", "N", "the same seed gives the same text (default 0)",
              kSampling},
             {0, std::numeric_limits<std::int64_t>::max()},
             [sampler](std::int64_t n) {
               sampler->seed = static_cast<std::uint64_t>(n);
             });
}

void AddTextFlags(CLI::App& app, RunFlags* flags) {
  AddText(app, {"-p,--prompt", "TEXT", "the text to continue", "Prompt"},
          &flags->prompt);
  AddText(
      app,
      {"-f,--file", "FILE",
       "read the prompt from FILE, - for stdin, less one newline at its end",
       "Prompt"},
      &flags->file);
  AddInteger(app,
             {"-n,--predict", "N",
              "tokens to generate at most; -1 fills the context (default 256)",
              "Output"},
             {-1, kMany}, [flags](std::int64_t n) { flags->predict = n; });
  AddSwitch(app,
            {"--ignore-eos", "", "go on after the end of the text", "Output"},
            &flags->ignore_eos);
  AddSwitch(app,
            {"--echo", "", "print the prompt before the completion", "Output"},
            &flags->echo);
  AddSwitch(app,
            {"--json", "",
             "print one JSON object at the end and no text "
             "before",
             "Output"},
            &flags->json);
  AddSwitch(app, {"-q,--quiet", "", "no statistics on stderr", "Output"},
            &flags->quiet);
}

Result<std::string> Prompt(const RunFlags& flags) {
  if (flags.prompt.has_value() == flags.file.has_value()) {
    return Fail(ErrorCode::kInvalidArgument,
                "give the prompt with either -p TEXT or -f FILE; see sluice "
                "run --help");
  }
  if (flags.prompt) return *flags.prompt;
  SLUICE_ASSIGN(std::string text, ReadNonEmptyFile(*flags.file));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

const char* StopName(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end_of_text";
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kContextFull:
      return "context_full";
    case StopReason::kCallback:
      return "interrupted";
  }
  return "unknown";
}

void PrintStatistics(const GenerateResult& result, const Timings& timings) {
  fmt::print(
      stderr,
      "stats: prompt {} tokens, {} tokens/s; generated {}, {} tokens/s; "
      "per token {} and {} reads, hits {}, stall {} ms; peak {}; stop: {}\n",
      result.prompt_tokens, FigureText(timings.prefill_tokens_per_second),
      result.tokens.size(), FigureText(timings.decode_tokens_per_second),
      BytesText(timings.flash_bytes_per_token),
      FigureText(timings.reads_per_token), ShareText(timings.hit_rate),
      FigureText(timings.stall_seconds_per_token, 1000),
      FormatSize(PeakResidentBytes()), StopName(result.stop));
}

std::string JsonReport(const GenerateResult& result, const Timings& timings,
                       const OpenModel& model, std::string text) {
  nlohmann::ordered_json json;
  json["text"] = std::move(text);
  json["tokens"] = result.tokens;
  json["prompt_tokens"] = result.prompt_tokens;
  json["gen_tokens"] = result.tokens.size();
  json["stop"] = StopName(result.stop);
  AddMode(json, model.engine->mode());
  AddTimings(json, timings);
  json["budget_changes"] = model.engine->counters().budget_changes;
  json["demotions"] = model.engine->counters().demotions;
  json["load_seconds"] = model.load_seconds;
  json["peak_rss_bytes"] = PeakResidentBytes();
  return Dump(json);
}

// The text on its way to stdout.
class Stream {
 public:
  explicit Stream(bool silent) : silent_(silent) {}

  // False when nobody reads any more.
  bool Push(std::string_view text) {
    pushed_ += text.size();
    if (silent_ || text.empty() || !status_) return status_.has_value();
    at_line_start_ = text.ends_with('\n');
    status_ = WriteStdout(text);
    return status_.has_value();
  }
  // Prints what of `text` was not pushed, and ends the line.
  Result<void> Finish(const std::string& text) {
    if (text.size() > pushed_) {
      Push(std::string_view(text).substr(pushed_));
    }
    if (!at_line_start_) Push("\n");
    return status_;
  }
  // After an error in the middle of the text: the message gets its own line.
  void Abandon() {
    if (pushed_ > 0 && !at_line_start_) Push("\n");
  }

 private:
  const bool silent_;
  std::size_t pushed_ = 0;
  bool at_line_start_ = false;
  Result<void> status_;
};

Result<GenerateResult> Generate(const RunFlags& flags, OpenModel& model,
                                MemorySignal& memory,
                                std::vector<TokenId> prompt, Stream& stream) {
  Progress progress("prompt", Progress::Unit::kTokens);
  std::optional<GracefulInterrupt> graceful;
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = flags.predict < 0
                           ? model.session->context()
                           : static_cast<std::size_t>(flags.predict);
  request.sampler = flags.sampler;
  request.ignore_eos = flags.ignore_eos;
  const auto obey = [&] {
    if (!memory.pending()) return;
    progress.Erase();
    memory.Obey(*model.engine, flags.quiet);
  };
  request.on_prefill = [&](std::size_t done, std::size_t total) {
    obey();
    progress.Update(done, total);
    if (done < total) return true;
    progress.Erase();
    graceful.emplace();
    return true;
  };
  request.on_token = [&](TokenId, std::string_view text) {
    obey();
    return stream.Push(text) && !InterruptRequested();
  };
  return model.session->Generate(request);
}

Result<ExitCode> Run(const RunFlags& flags) {
  SLUICE_TRY(flags.sampler.Validate());
  SLUICE_ASSIGN(const std::string prompt, Prompt(flags));
  MemorySignal memory;
  SLUICE_ASSIGN(OpenModel model, OpenForUse(flags.engine));
  std::vector<TokenId> tokens = model.engine->tokenizer().Encode(prompt);
  if (tokens.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "the prompt is empty; give some text with -p or -f");
  }
  Stream stream(flags.json);
  if (flags.echo && !flags.json) SLUICE_TRY(WriteStdout(prompt));
  Result<GenerateResult> generated =
      Generate(flags, model, memory, std::move(tokens), stream);
  if (!generated) {
    stream.Abandon();
    return Forward(std::move(generated));
  }
  Result<void> traced = model.FinishTrace();
  const GenerateResult& result = *generated;
  const Timings timings = TimingsOf(result, model.engine->mode());
  const bool interrupted = InterruptRequested();
  Result<void> written;
  if (flags.json) {
    written = WriteStdout(
        JsonReport(result, timings, model,
                   (flags.echo ? prompt : std::string()) + result.text));
  } else {
    written = stream.Finish(result.text);
  }
  if (!written) return Forward(std::move(written));
  if (!flags.quiet) PrintStatistics(result, timings);
  if (!traced) return Forward(std::move(traced));
  return interrupted ? ExitCode::kInterrupted : ExitCode::kOk;
}

}  // namespace

Command AddRun(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand("run", "Continue a prompt");
  auto flags = std::make_shared<RunFlags>();
  AddTextFlags(*app, flags.get());
  AddSamplingFlags(*app, &flags->sampler);
  AddEngineFlags(*app, &flags->engine, kContextHelp);
  AddTraceFlag(*app, &flags->engine);
  app->footer(kFooter);
  return {app, [flags] { return Run(*flags); }};
}

}  // namespace sluice::tools
