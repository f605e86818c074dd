// Tokenizer: text to token ids and back, from the vocabulary in a GGUF.
//
// Two models: byte-level BPE (`tokenizer.ggml.model` = "gpt2") with the
// `qwen2` and `gpt-2` pre-tokenisers (Unicode patterns, PCRE2), and
// SentencePiece-style BPE with byte fallback ("llama"). Any other name is
// refused with kUnsupported naming it.
//
// The vocabulary is kept compactly (one string arena, flat hash tables): about
// 10 MB for 150 000 entries, because it counts against the memory budget.
//
// Thread safety: immutable after creation; const methods may run concurrently.
#ifndef SLUICE_ENGINE_TOKENIZER_H_
#define SLUICE_ENGINE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/result.h"

namespace sluice {

namespace storage {
class GgufFile;
}

using TokenId = std::int32_t;

class Tokenizer {
 public:
  struct EncodeOptions {
    bool parse_special = true;  // "<|im_end|>" in the text is one token
    bool add_special = true;    // BOS / EOS where the model's metadata says so
  };

  // Returns: kCorrupt, kUnsupported, naming the metadata key.
  static Result<std::unique_ptr<Tokenizer>> FromGguf(
      const storage::GgufFile& gguf);
  virtual ~Tokenizer() = default;

  virtual std::vector<TokenId> Encode(std::string_view text,
                                      EncodeOptions options) const = 0;
  std::vector<TokenId> Encode(std::string_view text) const {
    return Encode(text, EncodeOptions{});
  }
  // The bytes of one token: possibly part of a character. Control tokens give
  // their text only with `show_special`, ids from size() on, which embeddings
  // padded to a round number of rows have, none. REQUIRES: id >= 0.
  virtual std::string Bytes(TokenId id, bool show_special) const = 0;
  // The text of a whole sequence, undoing what Encode added (BOS, the
  // SentencePiece leading space).
  virtual std::string Decode(std::span<const TokenId> ids,
                             bool show_special = true) const = 0;

  virtual std::size_t size() const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  // True for every token that ends a generation (EOS, EOT, <|im_end|>, ...).
  virtual bool IsEndOfGeneration(TokenId id) const = 0;
  virtual std::size_t memory_bytes() const = 0;
};

// Turns a stream of tokens into text that never stops inside a UTF-8
// character. Bytes that can never become valid come out as U+FFFD.
// Thread safety: thread-compatible.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // The text that became complete with `id`; may be empty.
  std::string Push(TokenId id);
  // What is left, made valid; call at the end.
  std::string Finish();

 private:
  std::string TakeComplete(bool final);

  const Tokenizer& tokenizer_;
  std::string pending_;
  bool first_ = true;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_TOKENIZER_H_
