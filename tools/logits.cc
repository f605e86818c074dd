// `sluice logits`: the model's raw output for a list of tokens; the door for
// conformance tests.
#include <CLI/CLI.hpp>
#include <bit>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/open_model.h"
#include "tools/progress.h"
#include "tools/report.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "OUT gets n_tokens rows of n_vocab little-endian 32-bit floats, and "
    "appears\n"
    "only when complete.\n"
    "\n"
    "--json then prints one object on stdout: the mode and what was read.\n"
    "\n"
    "Examples:\n"
    "  sluice logits model.gguf --tokens ids.txt --out logits.f32\n"
    "  echo 1 2 3 | sluice logits model.gguf --tokens - --out - | xxd | less";

struct LogitsFlags {
  EngineFlags engine;
  std::string tokens;
  std::string out;
  bool json = false;
};

// The bytes of `logits` as the file has them.
std::string_view FileBytes(std::span<const float> logits) {
  static_assert(std::endian::native == std::endian::little,
                "logits are written as they are in memory");
  const std::span<const std::byte> bytes = std::as_bytes(logits);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<void> WriteLogits(Session& session, std::span<const TokenId> tokens,
                         OutputFile& out) {
  Progress progress("evaluating", Progress::Unit::kTokens);
  Result<void> written;
  Result<void> evaluated = session.Evaluate(
      tokens, [&](std::size_t index, std::span<const float> logits) {
        written = out.Write(FileBytes(logits));
        progress.Update(index + 1, tokens.size());
        return written.has_value();
      });
  if (!written) return written;
  if (!evaluated) return evaluated;
  return out.Commit();
}

std::string JsonReport(const Engine& engine) {
  const Counters counters = engine.counters();
  nlohmann::ordered_json json;
  AddMode(json, engine.mode());
  json["tokens"] = counters.tokens;
  json["expert_lookups"] = counters.expert_lookups;
  json["expert_hits"] = counters.expert_hits;
  json["expert_misses"] = counters.expert_misses;
  json["evictions"] = counters.evictions;
  json["base_loads"] = counters.base_loads;
  json["base_uses"] = counters.base_uses;
  json["upgrades"] = counters.upgrades;
  json["skips"] = counters.skips;
  json["reordered"] = counters.reordered;
  json["prefetch_issued"] = counters.prefetch_issued;
  json["prefetch_bases"] = counters.prefetch_bases;
  json["prefetch_useful"] = counters.prefetch_useful;
  json["prefetch_late"] = counters.prefetch_late;
  json["prefetch_wasted"] = counters.prefetch_wasted;
  json["flash_bytes"] = counters.flash_bytes;
  json["flash_reads"] = counters.flash_reads;
  json["peak_rss_bytes"] = PeakResidentBytes();
  return Dump(json);
}

Result<ExitCode> Logits(const LogitsFlags& flags) {
  if (flags.json && flags.out == "-") {
    return Fail(ErrorCode::kInvalidArgument,
                "--json: stdout is taken by --out -; give --out a file");
  }
  // Files first: a mistake shows before the model is loaded.
  SLUICE_ASSIGN(const std::vector<TokenId> tokens, ReadTokens(flags.tokens));
  SLUICE_ASSIGN(const std::unique_ptr<OutputFile> out,
                OutputFile::Create(flags.out));
  EngineFlags engine = flags.engine;
  if (engine.options.context == 0) engine.options.context = tokens.size();
  SLUICE_ASSIGN(OpenModel model, OpenForUse(engine));
  SLUICE_TRY(CheckTokens(tokens, model.engine->vocabulary(), flags.tokens));
  SLUICE_TRY(WriteLogits(*model.session, tokens, *out));
  if (flags.json) {
    SLUICE_TRY(WriteStdout(JsonReport(*model.engine) + "\n"));
  }
  return ExitCode::kOk;
}

}  // namespace

Command AddLogits(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("logits", "Write the logits of a list of tokens");
  auto flags = std::make_shared<LogitsFlags>();
  AddText(*app,
          {"--tokens", "FILE",
           "token ids separated by white space, - for stdin (required)",
           "Input and output"},
          &flags->tokens)
      ->required();
  AddText(*app,
          {"--out", "FILE", "where the logits go, - for stdout (required)",
           "Input and output"},
          &flags->out)
      ->required();
  AddSwitch(*app,
            {"--json", "", "print the mode and what was read, as one object",
             "Input and output"},
            &flags->json);
  AddEngineFlags(*app, &flags->engine,
                 "tokens of context (default: as many as --tokens has)");
  app->footer(kFooter);
  return {app, [flags] { return Logits(*flags); }};
}

}  // namespace sluice::tools
