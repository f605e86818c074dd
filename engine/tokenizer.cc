#include "engine/tokenizer.h"

#include <fmt/format.h>

#include "engine/bpe_tokenizer.h"
#include "engine/spm_tokenizer.h"
#include "storage/gguf.h"
#include "storage/header_file.h"

namespace sluice {

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(
    const storage::GgufFile& gguf) {
  constexpr std::string_view kModel = "tokenizer.ggml.model";
  const std::string_view path =
      gguf.paths().empty() ? std::string_view() : gguf.paths()[0];
  const storage::GgufValue* value = gguf.Find(kModel);
  if (value == nullptr) return CorruptKey(gguf, kModel, "missing");
  if (!value->AsString()) return CorruptKey(gguf, kModel, "not a string");
  const std::string_view model = *value->AsString();
  if (model == "gpt2") return BpeTokenizer::FromGguf(gguf);
  if (model == "llama") return SpmTokenizer::FromGguf(gguf);
  return Fail(ErrorCode::kUnsupported,
              fmt::format("{}: {}: unknown tokenizer '{}'; known are gpt2 "
                          "(byte-level BPE) and llama (SentencePiece BPE)",
                          path, kModel, storage::OneLine(model)));
}

}  // namespace sluice
