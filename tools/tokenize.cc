// `sluice tokenize`: text to token ids and back, with the model's tokenizer.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/report.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "The ids are printed on one line. The text is taken as it is, a newline "
    "at\n"
    "its end included; what --decode prints is the text alone.\n"
    "\n"
    "Examples:\n"
    "  printf 'Hello world' | sluice tokenize model.gguf --text -\n"
    "  sluice tokenize model.gguf --text story.txt > ids.txt\n"
    "  sluice tokenize model.gguf --decode ids.txt";

struct TokenizeFlags {
  std::string model;
  std::optional<std::string> text;
  std::optional<std::string> decode;
  bool no_special = false;
  bool add_special = false;
  bool json = false;
};

std::string TokensJson(const Tokenizer& tokenizer,
                       const std::vector<TokenId>& tokens) {
  nlohmann::ordered_json json;
  json["tokens"] = tokens;
  json["pieces"] = nlohmann::ordered_json::array();
  for (const TokenId id : tokens) {
    json["pieces"].push_back(tokenizer.Bytes(id, true));
  }
  return Dump(json);
}

Result<void> Decode(const Tokenizer& tokenizer, const std::string& file,
                    const TokenizeFlags& flags) {
  SLUICE_ASSIGN(const std::vector<TokenId> tokens, ReadTokens(file));
  SLUICE_TRY(CheckTokens(tokens, tokenizer.size(), file));
  const std::string text = tokenizer.Decode(tokens);
  if (!flags.json) return WriteStdout(text);
  nlohmann::ordered_json json;
  json["text"] = text;
  return WriteStdout(Dump(json));
}

Result<void> Encode(const Tokenizer& tokenizer, const std::string& file,
                    const TokenizeFlags& flags) {
  SLUICE_ASSIGN(const std::string text, ReadWholeFile(file));
  const std::vector<TokenId> tokens = tokenizer.Encode(
      text,
      {.parse_special = !flags.no_special, .add_special = flags.add_special});
  if (flags.json) return WriteStdout(TokensJson(tokenizer, tokens));
  return WriteStdout(fmt::format("{}\n", fmt::join(tokens, " ")));
}

Result<ExitCode> Tokenize(const TokenizeFlags& flags) {
  if (flags.text.has_value() == flags.decode.has_value()) {
    return Fail(ErrorCode::kInvalidArgument,
                "give either --text FILE or --decode FILE; see sluice tokenize "
                "--help");
  }
  SLUICE_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer,
                OpenTokenizer(flags.model));
  if (flags.text) SLUICE_TRY(Encode(*tokenizer, *flags.text, flags));
  if (flags.decode) SLUICE_TRY(Decode(*tokenizer, *flags.decode, flags));
  return ExitCode::kOk;
}

}  // namespace

Command AddTokenize(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("tokenize", "Turn text into token ids, or back");
  auto flags = std::make_shared<TokenizeFlags>();
  AddModel(*app, &flags->model);
  AddText(*app, {"--text", "FILE", "the text to tokenize, - for stdin"},
          &flags->text);
  AddText(*app, {"--decode", "FILE", "ids to turn back into text, - for stdin"},
          &flags->decode);
  AddSwitch(*app,
            {"--no-special", "",
             "take \"<|im_end|>\" and the like as plain text (default: as one "
             "token)"},
            &flags->no_special);
  AddSwitch(*app,
            {"--add-special", "",
             "add BOS and EOS where the model asks for them (default: not)"},
            &flags->add_special);
  AddSwitch(*app, {"--json", "", "print a JSON object, with each token's text"},
            &flags->json);
  app->footer(kFooter);
  return {app, [flags] { return Tokenize(*flags); }};
}

}  // namespace sluice::tools
