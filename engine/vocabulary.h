// Vocabulary: the pieces of a tokenizer, their kinds and the special ids, read
// from the `tokenizer.ggml.*` keys of a GGUF and checked.
//
// Owns: every piece's text, as in the file, in one arena, and a flat table from
// text to id. No allocation per piece. Invariants: ids are 0 to size() - 1;
// texts are distinct, except that any number may be empty (those are never
// found); every special id is in range.
//
// Does not split or merge text: see BpeTokenizer and SpmTokenizer.
//
// Thread safety: immutable after creation; const methods may run concurrently.
#ifndef SLUICE_ENGINE_VOCABULARY_H_
#define SLUICE_ENGINE_VOCABULARY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/flat_table.h"
#include "engine/tokenizer.h"
#include "storage/result.h"

namespace sluice {

// `tokenizer.ggml.token_type`, numbered as in the file.
enum class TokenKind : std::uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

inline constexpr TokenId kNoToken = -1;

class Vocabulary {
 public:
  // What the file does not say.
  struct Defaults {
    TokenId bos = kNoToken;
    TokenId eos = kNoToken;
    TokenId unknown = kNoToken;
    bool add_bos = false;
  };

  // Returns: kCorrupt naming the key.
  static Result<Vocabulary> FromGguf(const storage::GgufFile& gguf,
                                     const Defaults& defaults);

  std::size_t size() const { return kinds_.size(); }
  // REQUIRES: id in [0, size()), here and below.
  std::string_view Text(TokenId id) const;
  TokenKind kind(TokenId id) const {
    return kinds_[static_cast<std::size_t>(id)];
  }
  // Control, unknown and user-defined: matched in text before anything else.
  bool IsSpecial(TokenId id) const;
  // Control and unknown: not text that a reader of the output wants.
  bool IsHidden(TokenId id) const;
  // kNoToken when no piece has this text.
  TokenId Find(std::string_view text) const;
  std::size_t longest_text() const { return longest_text_; }  // bytes

  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  std::optional<TokenId> unknown() const { return unknown_; }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }
  bool IsEndOfGeneration(TokenId id) const;

  std::size_t memory_bytes() const;

 private:
  explicit Vocabulary(std::size_t count) : table_(count, kNoToken) {}

  Result<void> LoadTexts(const storage::GgufFile& gguf);
  Result<void> LoadKinds(const storage::GgufFile& gguf);
  Result<void> LoadSpecialIds(const storage::GgufFile& gguf,
                              const Defaults& defaults);
  void MarkWellKnown();
  Result<void> CollectEndOfGeneration(const storage::GgufFile& gguf);
  const TokenId* Slot(std::string_view text) const;

  std::string arena_;                   // texts, one after the other
  std::vector<std::uint32_t> offsets_;  // [size + 1], into arena_
  std::vector<TokenKind> kinds_;        // [size]
  FlatTable<TokenId> table_;            // hash of text to id
  std::size_t longest_text_ = 0;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  std::optional<TokenId> unknown_;
  bool add_bos_ = false;
  bool add_eos_ = false;
  std::vector<TokenId> end_of_generation_;  // sorted
};

// kCorrupt: "FILE: KEY: WHAT; convert the model again".
tl::unexpected<Error> CorruptKey(const storage::GgufFile& gguf,
                                 std::string_view key, std::string_view what);

}  // namespace sluice

#endif  // SLUICE_ENGINE_VOCABULARY_H_
