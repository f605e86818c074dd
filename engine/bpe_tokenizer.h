// BpeTokenizer: byte-level byte-pair encoding (`tokenizer.ggml.model` "gpt2").
//
// Text is cut into words by the PreTokenizer; the bytes of a word are its first
// symbols; the pairs listed in `tokenizer.ggml.merges` merge, earlier lines
// first. Every byte string encodes and decodes to itself, valid UTF-8 or not.
// No Unicode normalisation is done.
//
// Thread safety: immutable after creation; const methods may run concurrently.
#ifndef SLUICE_ENGINE_BPE_TOKENIZER_H_
#define SLUICE_ENGINE_BPE_TOKENIZER_H_

#include <array>
#include <cstdint>
#include <memory>

#include "engine/flat_table.h"
#include "engine/merge_symbols.h"
#include "engine/pre_tokenizer.h"
#include "engine/vocabulary_tokenizer.h"

namespace sluice {

class BpeTokenizer final : public VocabularyTokenizer {
 public:
  // Returns: kCorrupt, kUnsupported, naming the key.
  static Result<std::unique_ptr<Tokenizer>> FromGguf(
      const storage::GgufFile& gguf);

 private:
  // One line of the merges: `left right` becomes `merge.id`.
  struct PairMerge {
    TokenId left = kNoToken;  // kNoToken: an empty slot
    TokenId right = kNoToken;
    Merge merge;
  };
  using PairTable = FlatTable<PairMerge>;

  BpeTokenizer(Vocabulary vocabulary, PreTokenizer pre, PairTable pairs)
      : VocabularyTokenizer(std::move(vocabulary)),
        pre_(std::move(pre)),
        pairs_(std::move(pairs)) {}

  static Result<PairTable> LoadMerges(const storage::GgufFile& gguf,
                                      const Vocabulary& vocabulary);
  static const PairMerge* FindPair(const PairTable& pairs, TokenId left,
                                   TokenId right);
  Result<void> LoadByteIds();

  void EncodeFragments(std::string_view text,
                       std::span<const SpecialMatcher::Fragment> fragments,
                       std::vector<TokenId>& ids) const override;
  void EncodeWord(std::string_view word, MergeScratch& scratch,
                  std::vector<TokenId>& ids) const;
  std::string PieceBytes(TokenId id) const override;
  bool adds_space() const override { return false; }
  std::size_t MergeBytes() const override {
    return pre_.memory_bytes() + pairs_.memory_bytes() + sizeof(byte_ids_);
  }

  PreTokenizer pre_;
  PairTable pairs_;
  std::array<TokenId, 256> byte_ids_{};  // the piece of each byte
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_BPE_TOKENIZER_H_
