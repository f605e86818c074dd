#include "engine/bpe_tokenizer.h"

#include <fmt/format.h>

#include "engine/utf8.h"
#include "storage/gguf.h"

namespace sluice {

namespace {

constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::string_view kPre = "tokenizer.ggml.pre";

// GPT-2 writes every byte as a printable character: the printable ones of
// Latin-1 as themselves, the other 68 as U+0100 onwards, in order
// (bytes_to_unicode in OpenAI's encoder.py).
constexpr bool IsPrintable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         byte >= 0xAE;
}

struct ByteAlphabet {
  std::array<char16_t, 256> character{};   // of each byte
  std::array<std::int16_t, 0x144> byte{};  // of each character, -1: none
};

constexpr ByteAlphabet MakeByteAlphabet() {
  ByteAlphabet alphabet;
  alphabet.byte.fill(-1);
  char16_t other = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const char16_t character =
        IsPrintable(byte) ? static_cast<char16_t>(byte) : other++;
    alphabet.character[static_cast<std::size_t>(byte)] = character;
    alphabet.byte[character] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

constexpr ByteAlphabet kAlphabet = MakeByteAlphabet();

std::string Utf8OfByte(std::size_t byte) {
  const char16_t character = kAlphabet.character[byte];
  if (character < 0x80) return std::string(1, static_cast<char>(character));
  return {static_cast<char>(0xC0 | (character >> 6)),
          static_cast<char>(0x80 | (character & 0x3F))};
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> BpeTokenizer::FromGguf(
    const storage::GgufFile& gguf) {
  const storage::GgufValue* name = gguf.Find(kPre);
  if (name == nullptr) return CorruptKey(gguf, kPre, "missing");
  if (!name->AsString()) return CorruptKey(gguf, kPre, "not a string");
  SLUICE_ASSIGN(PreTokenizer pre, PreTokenizer::Create(*name->AsString()));
  SLUICE_ASSIGN(Vocabulary vocabulary, Vocabulary::FromGguf(gguf, {}));
  SLUICE_ASSIGN(PairTable pairs, LoadMerges(gguf, vocabulary));
  std::unique_ptr<BpeTokenizer> tokenizer(new BpeTokenizer(
      std::move(vocabulary), std::move(pre), std::move(pairs)));
  if (auto loaded = tokenizer->LoadByteIds(); !loaded) {
    return CorruptKey(gguf, "tokenizer.ggml.tokens", loaded.error().message);
  }
  return tokenizer;
}

Result<BpeTokenizer::PairTable> BpeTokenizer::LoadMerges(
    const storage::GgufFile& gguf, const Vocabulary& vocabulary) {
  const storage::GgufValue* merges = gguf.Find(kMerges);
  if (merges == nullptr) return CorruptKey(gguf, kMerges, "missing");
  if (merges->size() >= kNoMerge) {
    return CorruptKey(gguf, kMerges, "too many merges");
  }
  PairTable pairs(
      merges->type() == storage::GgufType::kArray ? merges->size() : 0, {});
  std::string broken;  // what is wrong with the first bad line
  const bool strings =
      merges->ForEachString([&](std::size_t rank, std::string_view line) {
        if (!broken.empty()) return;
        // A piece is never empty, so the space that separates is not the first.
        const std::size_t space = line.find(' ', 1);
        if (space == std::string_view::npos) {
          broken = fmt::format("merge {} is not two pieces", rank);
          return;
        }
        const std::string text =
            std::string(line.substr(0, space)).append(line.substr(space + 1));
        const PairMerge entry = {
            vocabulary.Find(line.substr(0, space)),
            vocabulary.Find(line.substr(space + 1)),
            {static_cast<std::uint32_t>(rank), vocabulary.Find(text)}};
        if (entry.left == kNoToken || entry.right == kNoToken ||
            entry.merge.id == kNoToken) {
          broken = fmt::format("merge {} names a piece that is no token", rank);
          return;
        }
        const PairMerge* slot = FindPair(pairs, entry.left, entry.right);
        if (slot == nullptr) {
          broken = "pairs collide";
        } else if (slot->left == kNoToken) {  // of equal lines the first counts
          pairs.Store(slot, entry);
        }
      });
  if (!strings) return CorruptKey(gguf, kMerges, "not an array of strings");
  if (!broken.empty()) return CorruptKey(gguf, kMerges, broken);
  return pairs;
}

// The pair's slot, or the empty one where it belongs; null after too many
// probes, which a table that was filled never gives for a pair it holds.
const BpeTokenizer::PairMerge* BpeTokenizer::FindPair(const PairTable& pairs,
                                                      TokenId left,
                                                      TokenId right) {
  const std::uint64_t key = (static_cast<std::uint64_t>(left) << 32) |
                            static_cast<std::uint32_t>(right);
  return pairs.Probe(
      MixBits(key), [](const PairMerge& slot) { return slot.left == kNoToken; },
      [&](const PairMerge& slot) {
        return slot.left == left && slot.right == right;
      });
}

Result<void> BpeTokenizer::LoadByteIds() {
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = vocabulary().Find(Utf8OfByte(byte));
    if (byte_ids_[byte] == kNoToken) {
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("no token for the byte 0x{:02X}", byte));
    }
  }
  return {};
}

void BpeTokenizer::EncodeFragments(
    std::string_view text, std::span<const SpecialMatcher::Fragment> fragments,
    std::vector<TokenId>& ids) const {
  Words words(pre_);
  MergeScratch scratch;
  for (const SpecialMatcher::Fragment& fragment : fragments) {
    if (fragment.id != kNoToken) {
      ids.push_back(fragment.id);
      continue;
    }
    words.Reset(text.substr(fragment.begin, fragment.end - fragment.begin));
    for (std::string_view word = words.Next(); !word.empty();
         word = words.Next()) {
      EncodeWord(word, scratch, ids);
    }
  }
}

void BpeTokenizer::EncodeWord(std::string_view word, MergeScratch& scratch,
                              std::vector<TokenId>& ids) const {
  std::vector<MergeSymbol>& symbols = scratch.symbols;
  symbols.clear();
  for (const char c : word) {
    symbols.push_back({byte_ids_[static_cast<std::uint8_t>(c)], 0, {}});
  }
  symbols.push_back({kNoToken, 0, {}});
  MergeSymbols(scratch, [this](const MergeSymbol& left,
                               const MergeSymbol& right, std::uint32_t) {
    const PairMerge* pair = FindPair(pairs_, left.id, right.id);
    return pair == nullptr ? Merge{} : pair->merge;
  });
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    ids.push_back(symbols[i].id);
  }
}

std::string BpeTokenizer::PieceBytes(TokenId id) const {
  std::string_view text = vocabulary().Text(id);
  std::string bytes;
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    const int byte = step.valid && step.code_point < kAlphabet.byte.size()
                         ? kAlphabet.byte[step.code_point]
                         : -1;
    // A character outside of the alphabet stands for itself.
    if (byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
    } else {
      bytes += text.substr(0, step.length);
    }
    text.remove_prefix(step.length);
  }
  return bytes;
}

}  // namespace sluice
