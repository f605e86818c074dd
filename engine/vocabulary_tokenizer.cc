#include "engine/vocabulary_tokenizer.h"

#include <charconv>

namespace sluice {

std::vector<TokenId> VocabularyTokenizer::Encode(std::string_view text,
                                                 EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_special && vocabulary_.add_bos()) {
    ids.push_back(*vocabulary_.bos());
  }
  EncodeFragments(text, special_.Cut(vocabulary_, text, options.parse_special),
                  ids);
  if (options.add_special && vocabulary_.add_eos()) {
    ids.push_back(*vocabulary_.eos());
  }
  return ids;
}

std::string VocabularyTokenizer::Bytes(TokenId id, bool show_special) const {
  if (IsPadding(id)) return {};
  if (vocabulary_.IsHidden(id) && !show_special) return {};
  if (vocabulary_.IsSpecial(id)) return std::string(vocabulary_.Text(id));
  switch (vocabulary_.kind(id)) {
    case TokenKind::kNormal:
      return PieceBytes(id);
    case TokenKind::kByte:
      if (const auto byte = ParseByteText(vocabulary_.Text(id))) {
        return std::string(1, static_cast<char>(*byte));
      }
      return PieceBytes(id);
    default:
      return {};  // padding that no text becomes
  }
}

std::string VocabularyTokenizer::Decode(std::span<const TokenId> ids,
                                        bool show_special) const {
  if (vocabulary_.add_bos() && !ids.empty() && ids.front() == bos()) {
    ids = ids.subspan(1);
  }
  if (vocabulary_.add_eos() && !ids.empty() && ids.back() == eos()) {
    ids = ids.first(ids.size() - 1);
  }
  std::string text;
  bool drop_space = adds_space();
  for (const TokenId id : ids) {
    const std::string bytes = Bytes(id, show_special);
    const bool special = !IsPadding(id) && vocabulary_.IsSpecial(id);
    const bool drop = drop_space && !special && bytes.starts_with(' ');
    text.append(bytes, drop ? 1 : 0);
    drop_space = adds_space() && special;
  }
  return text;
}

std::optional<std::uint8_t> ParseByteText(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') {
    return std::nullopt;
  }
  std::uint8_t value = 0;
  const char* const end = text.data() + 5;
  const auto parsed = std::from_chars(text.data() + 3, end, value, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

}  // namespace sluice
