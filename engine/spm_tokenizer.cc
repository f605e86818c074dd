#include "engine/spm_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "engine/utf8.h"
#include "storage/gguf.h"

namespace sluice {

namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kAddSpace = "tokenizer.ggml.add_space_prefix";

// SentencePiece's own ids, for files that do not give them.
constexpr Vocabulary::Defaults kDefaults = {
    .bos = 1, .eos = 2, .unknown = 0, .add_bos = true};

// A number that falls as the score rises; equal scores, equal ranks; never
// kNoMerge. REQUIRES: score is not NaN.
std::uint32_t RankOfScore(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);  // no -0
  const std::uint32_t rising =
      (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  return ~rising;
}

std::size_t FindSpace(std::string_view text, std::size_t from) {
  return std::min(text.find(kSpace, from), text.size());
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> SpmTokenizer::FromGguf(
    const storage::GgufFile& gguf) {
  SLUICE_ASSIGN(Vocabulary vocabulary, Vocabulary::FromGguf(gguf, kDefaults));
  bool add_space = true;
  if (const storage::GgufValue* value = gguf.Find(kAddSpace)) {
    if (!value->AsBool())
      return CorruptKey(gguf, kAddSpace, "not true or false");
    add_space = *value->AsBool();
  }
  std::unique_ptr<SpmTokenizer> tokenizer(
      new SpmTokenizer(std::move(vocabulary), add_space));
  SLUICE_TRY(tokenizer->LoadRanks(gguf));
  SLUICE_TRY(tokenizer->LoadByteIds(gguf));
  tokenizer->words_are_separate_ = tokenizer->SpacesOnlyLead();
  return tokenizer;
}

Result<void> SpmTokenizer::LoadRanks(const storage::GgufFile& gguf) {
  const storage::GgufValue* value = gguf.Find(kScores);
  if (value == nullptr) return CorruptKey(gguf, kScores, "missing");
  const auto scores = value->AsFloatArray();
  if (!scores) return CorruptKey(gguf, kScores, "not an array of floats");
  if (scores->size() != size()) {
    return CorruptKey(
        gguf, kScores,
        fmt::format("{} entries for {} tokens", scores->size(), size()));
  }
  ranks_.reserve(scores->size());
  for (const float score : *scores) {
    if (std::isnan(score)) {
      return CorruptKey(gguf, kScores,
                        fmt::format("token {} has no number", ranks_.size()));
    }
    ranks_.push_back(RankOfScore(score));
  }
  return {};
}

// `<0x41>`, else the character itself, else the unknown token, where the file
// has one.
Result<void> SpmTokenizer::LoadByteIds(const storage::GgufFile& gguf) {
  TokenId unknown = vocabulary().unknown().value_or(kNoToken);
  if (unknown != kNoToken &&
      vocabulary().kind(unknown) != TokenKind::kUnknown) {
    unknown = kNoToken;
  }
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    TokenId id = vocabulary().Find(fmt::format("<0x{:02X}>", byte));
    const char text = static_cast<char>(byte);
    if (id == kNoToken) id = vocabulary().Find({&text, 1});
    if (id == kNoToken) id = unknown;
    if (id == kNoToken) {
      return CorruptKey(gguf, "tokenizer.ggml.tokens",
                        fmt::format("no token for the byte 0x{:02X}", byte));
    }
    byte_ids_[byte] = id;
  }
  return {};
}

bool SpmTokenizer::SpacesOnlyLead() const {
  for (std::size_t i = 0; i < size(); ++i) {
    std::string_view text = vocabulary().Text(static_cast<TokenId>(i));
    while (text.starts_with(kSpace)) text.remove_prefix(kSpace.size());
    if (FindSpace(text, 0) != text.size()) return false;
  }
  return true;
}

void SpmTokenizer::EncodeFragments(
    std::string_view text, std::span<const SpecialMatcher::Fragment> fragments,
    std::vector<TokenId>& ids) const {
  MergeScratch scratch;
  std::string escaped;
  bool after_special = true;  // the start counts as such
  for (const SpecialMatcher::Fragment& fragment : fragments) {
    if (fragment.id != kNoToken) {
      ids.push_back(fragment.id);
      after_special = true;
      continue;
    }
    escaped = add_space_ && after_special ? kSpace : std::string_view();
    for (std::size_t i = fragment.begin; i < fragment.end; ++i) {
      if (text[i] == ' ') {
        escaped += kSpace;
      } else {
        escaped += text[i];
      }
    }
    EncodeEscaped(escaped, scratch, ids);
    after_special = false;
  }
}

void SpmTokenizer::EncodeEscaped(std::string_view text, MergeScratch& scratch,
                                 std::vector<TokenId>& ids) const {
  while (!text.empty()) {
    std::size_t end = text.size();
    if (words_are_separate_) {
      std::size_t body = 0;  // after the leading spaces
      while (text.substr(body).starts_with(kSpace)) body += kSpace.size();
      end = FindSpace(text, body);
    }
    EncodeWord(text.substr(0, end), scratch, ids);
    text.remove_prefix(end);
  }
}

void SpmTokenizer::EncodeWord(std::string_view word, MergeScratch& scratch,
                              std::vector<TokenId>& ids) const {
  std::vector<MergeSymbol>& symbols = scratch.symbols;
  symbols.clear();
  for (std::size_t at = 0; at < word.size();) {
    const Utf8Step step = NextUtf8(word.substr(at));
    const std::size_t length = step.valid ? step.length : 1;
    symbols.push_back({vocabulary().Find(word.substr(at, length)),
                       static_cast<std::uint32_t>(at),
                       {}});
    at += length;
  }
  symbols.push_back({kNoToken, static_cast<std::uint32_t>(word.size()), {}});
  MergeSymbols(scratch, [&](const MergeSymbol& left, const MergeSymbol&,
                            std::uint32_t right_end) {
    const TokenId id =
        vocabulary().Find(word.substr(left.begin, right_end - left.begin));
    if (id == kNoToken) return Merge{};
    return Merge{ranks_[static_cast<std::size_t>(id)], id};
  });
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    if (symbols[i].id != kNoToken) {
      ids.push_back(symbols[i].id);
      continue;
    }
    for (std::uint32_t at = symbols[i].begin; at < symbols[i + 1].begin; ++at) {
      ids.push_back(byte_ids_[static_cast<std::uint8_t>(word[at])]);
    }
  }
}

std::string SpmTokenizer::PieceBytes(TokenId id) const {
  std::string_view text = vocabulary().Text(id);
  std::string bytes;
  while (!text.empty()) {
    const std::size_t end = FindSpace(text, 0);
    bytes += text.substr(0, end);
    text.remove_prefix(end);
    if (text.empty()) break;
    bytes += ' ';
    text.remove_prefix(kSpace.size());
  }
  return bytes;
}

}  // namespace sluice
