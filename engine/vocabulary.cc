#include "engine/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "storage/gguf.h"

namespace sluice {

namespace {

using storage::GgufFile;
using storage::GgufValue;

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTokenType = "tokenizer.ggml.token_type";

// Texts that end a generation, as llama.cpp has them, for the families that
// these tokenizers serve. No text holds one of the first by chance, so they are
// control tokens whatever kind the file gives them: converters often mark them
// as ordinary. The others are ordinary text too (`</s>` is HTML, and an
// ordinary piece of Qwen3): they count only where the file calls them special.
constexpr std::array<std::string_view, 9> kEndMarkers = {
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
};
constexpr std::array<std::string_view, 6> kEndWords = {
    "</s>", "<eos>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
};

// Fill-in-the-middle markers: control tokens, also when the file says
// otherwise.
constexpr std::array<std::string_view, 6> kFimTexts = {
    "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>",
    "<fim_prefix>",   "<fim_suffix>",   "<fim_middle>",
};

// The fill-in-the-middle markers after which a model has nothing more to say,
// as llama.cpp has it: padding, the next repository, the next file.
struct FimEnd {
  std::string_view key;
  std::array<std::string_view, 3> texts;
};
constexpr std::array<FimEnd, 3> kFimEnds = {{
    {"tokenizer.ggml.fim_pad_token_id",
     {"<|fim_pad|>", "<fim-pad>", "<fim_pad>"}},
    {"tokenizer.ggml.fim_rep_token_id",
     {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>"}},
    {"tokenizer.ggml.fim_sep_token_id", {"<|file_sep|>", "", ""}},
}};

// The id under `key`; `otherwise` when the key is absent.
Result<TokenId> SpecialId(const GgufFile& gguf, std::string_view key,
                          TokenId otherwise, std::size_t size) {
  const GgufValue* value = gguf.Find(key);
  if (value == nullptr) {
    const bool usable =
        otherwise >= 0 && static_cast<std::size_t>(otherwise) < size;
    return usable ? otherwise : kNoToken;
  }
  const std::optional<std::uint64_t> id = value->AsUint();
  if (!id) return CorruptKey(gguf, key, "not a token id");
  if (*id >= size) {
    return CorruptKey(gguf, key,
                      fmt::format("token {} of {} does not exist", *id, size));
  }
  return static_cast<TokenId>(*id);
}

Result<bool> Flag(const GgufFile& gguf, std::string_view key, bool otherwise) {
  const GgufValue* value = gguf.Find(key);
  if (value == nullptr) return otherwise;
  const std::optional<bool> flag = value->AsBool();
  if (!flag) return CorruptKey(gguf, key, "not true or false");
  return *flag;
}

std::optional<TokenId> Optional(TokenId id) {
  return id == kNoToken ? std::nullopt : std::optional<TokenId>(id);
}

}  // namespace

tl::unexpected<Error> CorruptKey(const GgufFile& gguf, std::string_view key,
                                 std::string_view what) {
  const std::string_view path =
      gguf.paths().empty() ? std::string_view() : gguf.paths()[0];
  return Fail(
      ErrorCode::kCorrupt,
      fmt::format("{}: {}: {}; convert the model again", path, key, what));
}

Result<Vocabulary> Vocabulary::FromGguf(const GgufFile& gguf,
                                        const Defaults& defaults) {
  const GgufValue* tokens = gguf.Find(kTokens);
  if (tokens == nullptr) return CorruptKey(gguf, kTokens, "missing");
  if (tokens->type() != storage::GgufType::kArray ||
      tokens->element_type() != storage::GgufType::kString) {
    return CorruptKey(gguf, kTokens, "not an array of strings");
  }
  if (tokens->size() == 0) return CorruptKey(gguf, kTokens, "no tokens");
  if (tokens->size() > std::numeric_limits<TokenId>::max() / 2) {
    return CorruptKey(gguf, kTokens, "too many tokens");
  }
  Vocabulary vocabulary(tokens->size());
  SLUICE_TRY(vocabulary.LoadTexts(gguf));
  SLUICE_TRY(vocabulary.LoadKinds(gguf));
  SLUICE_TRY(vocabulary.LoadSpecialIds(gguf, defaults));
  vocabulary.MarkWellKnown();
  SLUICE_TRY(vocabulary.CollectEndOfGeneration(gguf));
  return vocabulary;
}

Result<void> Vocabulary::LoadTexts(const GgufFile& gguf) {
  const GgufValue& tokens = *gguf.Find(kTokens);
  std::size_t bytes = 0;
  tokens.ForEachString([&](std::size_t, std::string_view text) {
    bytes += text.size();
    longest_text_ = std::max(longest_text_, text.size());
  });
  if (bytes > std::numeric_limits<std::uint32_t>::max()) {
    return CorruptKey(gguf, kTokens, "more than 4 GiB of text");
  }
  arena_.reserve(bytes);
  offsets_.reserve(tokens.size() + 1);
  tokens.ForEachString([&](std::size_t, std::string_view text) {
    offsets_.push_back(static_cast<std::uint32_t>(arena_.size()));
    arena_ += text;
  });
  offsets_.push_back(static_cast<std::uint32_t>(arena_.size()));

  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const TokenId id = static_cast<TokenId>(i);
    if (Text(id).empty()) continue;
    const TokenId* slot = Slot(Text(id));
    if (slot == nullptr) return CorruptKey(gguf, kTokens, "texts collide");
    if (*slot != kNoToken) {
      return CorruptKey(
          gguf, kTokens,
          fmt::format("tokens {} and {} have the same text", *slot, id));
    }
    table_.Store(slot, id);
  }
  return {};
}

Result<void> Vocabulary::LoadKinds(const GgufFile& gguf) {
  const std::size_t count = offsets_.size() - 1;
  kinds_.assign(count, TokenKind::kNormal);
  const GgufValue* value = gguf.Find(kTokenType);
  if (value == nullptr) return {};
  const auto kinds = value->AsIntArray();
  if (!kinds) return CorruptKey(gguf, kTokenType, "not an array of integers");
  if (kinds->size() != count) {
    return CorruptKey(
        gguf, kTokenType,
        fmt::format("{} entries for {} tokens", kinds->size(), count));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t kind = (*kinds)[i];
    if (kind < 0 || kind > static_cast<std::int64_t>(TokenKind::kByte)) {
      return CorruptKey(
          gguf, kTokenType,
          fmt::format("token {} has the unknown type {}", i, kind));
    }
    kinds_[i] = static_cast<TokenKind>(kind);
  }
  return {};
}

Result<void> Vocabulary::LoadSpecialIds(const GgufFile& gguf,
                                        const Defaults& defaults) {
  const auto special = [&](std::string_view key, TokenId otherwise) {
    return SpecialId(gguf, key, otherwise, size());
  };
  constexpr std::string_view kAddBos = "tokenizer.ggml.add_bos_token";
  constexpr std::string_view kAddEos = "tokenizer.ggml.add_eos_token";
  SLUICE_ASSIGN(const TokenId bos_id,
                special("tokenizer.ggml.bos_token_id", defaults.bos));
  SLUICE_ASSIGN(const TokenId eos_id,
                special("tokenizer.ggml.eos_token_id", defaults.eos));
  SLUICE_ASSIGN(const TokenId unknown_id,
                special("tokenizer.ggml.unknown_token_id", defaults.unknown));
  SLUICE_ASSIGN(add_bos_, Flag(gguf, kAddBos, defaults.add_bos));
  SLUICE_ASSIGN(add_eos_, Flag(gguf, kAddEos, false));
  bos_ = Optional(bos_id);
  eos_ = Optional(eos_id);
  unknown_ = Optional(unknown_id);
  if (add_bos_ && !bos_) {
    return CorruptKey(gguf, kAddBos, "true, but there is no bos_token_id");
  }
  if (add_eos_ && !eos_) {
    return CorruptKey(gguf, kAddEos, "true, but there is no eos_token_id");
  }
  return {};
}

// Makes control tokens of the texts that are, whatever the file says.
void Vocabulary::MarkWellKnown() {
  const auto mark = [this](std::string_view text) {
    const TokenId id = Find(text);
    if (id == kNoToken) return;
    kinds_[static_cast<std::size_t>(id)] = TokenKind::kControl;
  };
  for (const std::string_view text : kEndMarkers) mark(text);
  for (const std::string_view text : kFimTexts) mark(text);
  for (const FimEnd& fim : kFimEnds) {
    for (const std::string_view text : fim.texts) mark(text);
  }
}

Result<void> Vocabulary::CollectEndOfGeneration(const GgufFile& gguf) {
  std::vector<TokenId>& ends = end_of_generation_;
  for (const std::string_view text : kEndMarkers) ends.push_back(Find(text));
  for (const std::string_view text : kEndWords) {
    const TokenId id = Find(text);
    if (id != kNoToken && IsSpecial(id)) ends.push_back(id);
  }
  if (eos_) ends.push_back(*eos_);
  for (const std::string_view key :
       {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    SLUICE_ASSIGN(const TokenId id, SpecialId(gguf, key, kNoToken, size()));
    ends.push_back(id);
  }
  for (const FimEnd& fim : kFimEnds) {
    TokenId by_text = kNoToken;
    for (const std::string_view text : fim.texts) {
      if (by_text == kNoToken) by_text = Find(text);
    }
    SLUICE_ASSIGN(const TokenId id, SpecialId(gguf, fim.key, by_text, size()));
    ends.push_back(id);
  }
  std::erase(ends, kNoToken);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return {};
}

std::string_view Vocabulary::Text(TokenId id) const {
  const std::size_t i = static_cast<std::size_t>(id);
  return std::string_view(arena_).substr(offsets_[i],
                                         offsets_[i + 1] - offsets_[i]);
}

bool Vocabulary::IsSpecial(TokenId id) const {
  return IsHidden(id) || kind(id) == TokenKind::kUserDefined;
}

bool Vocabulary::IsHidden(TokenId id) const {
  return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown;
}

const TokenId* Vocabulary::Slot(std::string_view text) const {
  return table_.Probe(
      HashText(text), [](TokenId slot) { return slot == kNoToken; },
      [&](TokenId slot) { return Text(slot) == text; });
}

TokenId Vocabulary::Find(std::string_view text) const {
  if (text.empty() || text.size() > longest_text_) return kNoToken;
  const TokenId* slot = Slot(text);
  return slot == nullptr ? kNoToken : *slot;
}

bool Vocabulary::IsEndOfGeneration(TokenId id) const {
  return std::binary_search(end_of_generation_.begin(),
                            end_of_generation_.end(), id);
}

std::size_t Vocabulary::memory_bytes() const {
  return sizeof(*this) + arena_.capacity() +
         offsets_.capacity() * sizeof(offsets_[0]) +
         kinds_.capacity() * sizeof(kinds_[0]) + table_.memory_bytes() +
         end_of_generation_.capacity() * sizeof(TokenId);
}

}  // namespace sluice
