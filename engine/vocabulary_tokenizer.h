// VocabularyTokenizer: what the tokenizers have in common: special tokens,
// BOS and EOS, and putting a text together again.
//
// Thread safety: immutable after creation; const methods may run concurrently.
#ifndef SLUICE_ENGINE_VOCABULARY_TOKENIZER_H_
#define SLUICE_ENGINE_VOCABULARY_TOKENIZER_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/special_matcher.h"
#include "engine/tokenizer.h"
#include "engine/vocabulary.h"

namespace sluice {

class VocabularyTokenizer : public Tokenizer {
 public:
  using Tokenizer::Encode;
  std::vector<TokenId> Encode(std::string_view text,
                              EncodeOptions options) const final;
  std::string Bytes(TokenId id, bool show_special) const final;
  std::string Decode(std::span<const TokenId> ids,
                     bool show_special) const final;

  std::size_t size() const final { return vocabulary_.size(); }
  std::optional<TokenId> bos() const final { return vocabulary_.bos(); }
  std::optional<TokenId> eos() const final { return vocabulary_.eos(); }
  bool IsEndOfGeneration(TokenId id) const final {
    return vocabulary_.IsEndOfGeneration(id);
  }
  std::size_t memory_bytes() const final {
    return vocabulary_.memory_bytes() + special_.memory_bytes() + MergeBytes();
  }

 protected:
  explicit VocabularyTokenizer(Vocabulary vocabulary)
      : vocabulary_(std::move(vocabulary)), special_(vocabulary_) {}
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  // Of an embedding with more rows than there are tokens.
  bool IsPadding(TokenId id) const {
    return static_cast<std::size_t>(id) >= vocabulary_.size();
  }
  // Appends the ids of the stretches of text between special tokens.
  virtual void EncodeFragments(
      std::string_view text,
      std::span<const SpecialMatcher::Fragment> fragments,
      std::vector<TokenId>& ids) const = 0;
  // The bytes of an ordinary piece.
  virtual std::string PieceBytes(TokenId id) const = 0;
  // True when Encode puts a space before each stretch of text.
  virtual bool adds_space() const = 0;
  // Of all but the vocabulary and the matcher.
  virtual std::size_t MergeBytes() const = 0;

  Vocabulary vocabulary_;
  SpecialMatcher special_;
};

// The value of a `<0x41>` text; none for any other.
std::optional<std::uint8_t> ParseByteText(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_ENGINE_VOCABULARY_TOKENIZER_H_
