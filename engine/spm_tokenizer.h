// SpmTokenizer: SentencePiece's BPE model with byte fallback
// (`tokenizer.ggml.model` "llama"; Kudo and Richardson 2018).
//
// Spaces become U+2581 and, where `tokenizer.ggml.add_space_prefix` says so
// (the default), one is put before each stretch of text. The first symbols are
// characters; two neighbours merge when together they are a piece, the piece
// of the highest score first. A character that is no piece becomes its bytes.
// U+2581 in the text itself decodes as a space.
//
// Thread safety: immutable after creation; const methods may run concurrently.
#ifndef SLUICE_ENGINE_SPM_TOKENIZER_H_
#define SLUICE_ENGINE_SPM_TOKENIZER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/merge_symbols.h"
#include "engine/vocabulary_tokenizer.h"

namespace sluice {

class SpmTokenizer final : public VocabularyTokenizer {
 public:
  // Returns: kCorrupt naming the key.
  static Result<std::unique_ptr<Tokenizer>> FromGguf(
      const storage::GgufFile& gguf);

 private:
  SpmTokenizer(Vocabulary vocabulary, bool add_space)
      : VocabularyTokenizer(std::move(vocabulary)), add_space_(add_space) {}

  Result<void> LoadRanks(const storage::GgufFile& gguf);
  Result<void> LoadByteIds(const storage::GgufFile& gguf);
  bool SpacesOnlyLead() const;

  void EncodeFragments(std::string_view text,
                       std::span<const SpecialMatcher::Fragment> fragments,
                       std::vector<TokenId>& ids) const override;
  void EncodeEscaped(std::string_view text, MergeScratch& scratch,
                     std::vector<TokenId>& ids) const;
  void EncodeWord(std::string_view word, MergeScratch& scratch,
                  std::vector<TokenId>& ids) const;
  std::string PieceBytes(TokenId id) const override;
  bool adds_space() const override { return add_space_; }
  std::size_t MergeBytes() const override {
    return ranks_.capacity() * sizeof(ranks_[0]) + sizeof(byte_ids_);
  }

  bool add_space_ = true;
  // No piece has U+2581 after another character, so words that begin with it
  // can be encoded one by one.
  bool words_are_separate_ = false;
  std::vector<std::uint32_t> ranks_;     // of each piece; by falling score
  std::array<TokenId, 256> byte_ids_{};  // what stands for each byte
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_SPM_TOKENIZER_H_
