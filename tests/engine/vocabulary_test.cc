// Vocabularies made by hand: what is refused, and rules that the real ones do
// not reach.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "engine/tokenizer.h"
#include "storage/gguf.h"
#include "tests/support/gguf_builder.h"

namespace sluice {
namespace {

using storage::GgufType;
using test::GgufBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// The keys of a small vocabulary; a test replaces or removes some.
class Keys {
 public:
  using Write = std::function<void(GgufBuilder&, const std::string&)>;

  Keys& Set(const std::string& key, Write write) {
    keys_["tokenizer.ggml." + key] = std::move(write);
    return *this;
  }
  Keys& Text(const std::string& key, const std::string& value) {
    return Set(
        key, [=](GgufBuilder& b, const std::string& k) { b.String(k, value); });
  }
  Keys& Texts(const std::string& key, const std::vector<std::string>& values) {
    return Set(key, [=](GgufBuilder& b, const std::string& k) {
      b.StringArray(k, values);
    });
  }
  Keys& Id(const std::string& key, std::uint32_t value) {
    return Set(
        key, [=](GgufBuilder& b, const std::string& k) { b.Uint32(k, value); });
  }
  Keys& Flag(const std::string& key, bool value) {
    return Set(key, [=](GgufBuilder& b, const std::string& k) {
      b.Number(k, GgufType::kBool, static_cast<std::uint8_t>(value));
    });
  }
  Keys& Types(const std::vector<std::int32_t>& values) {
    return Set("token_type", [=](GgufBuilder& b, const std::string& k) {
      b.Array(k, GgufType::kInt32, values);
    });
  }
  Keys& Scores(const std::vector<float>& values) {
    return Set("scores", [=](GgufBuilder& b, const std::string& k) {
      b.Array(k, GgufType::kFloat32, values);
    });
  }
  Keys& Remove(const std::string& key) {
    keys_.erase("tokenizer.ggml." + key);
    return *this;
  }

  Result<std::unique_ptr<Tokenizer>> Load() const {
    GgufBuilder builder;
    for (const auto& [key, write] : keys_) write(builder, key);
    const test::Bytes file = builder.File();
    auto gguf = storage::GgufFile::Parse(file, file.size(), "test.gguf");
    if (!gguf) return Forward(std::move(gguf));
    return Tokenizer::FromGguf(*gguf);
  }
  std::unique_ptr<Tokenizer> MustLoad() const {
    auto tokenizer = Load();
    EXPECT_TRUE(tokenizer) << tokenizer.error().message;
    return tokenizer ? std::move(*tokenizer) : nullptr;
  }

 private:
  std::map<std::string, Write> keys_;
};

std::string Utf8(unsigned character) {
  if (character < 0x80) return std::string(1, static_cast<char>(character));
  return {static_cast<char>(0xC0 | (character >> 6)),
          static_cast<char>(0x80 | (character & 0x3F))};
}

// The 256 characters that stand for bytes, in byte order.
std::vector<std::string> BytePieces() {
  std::vector<std::string> pieces;
  unsigned other = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    pieces.push_back(Utf8(printable ? byte : other++));
  }
  return pieces;
}

// Tokens: the bytes, then `more`, of kind `types`.
Keys Bpe(const std::vector<std::string>& more = {},
         const std::vector<std::int32_t>& types = {},
         const std::vector<std::string>& merges = {}) {
  std::vector<std::string> tokens = BytePieces();
  std::vector<std::int32_t> kinds(tokens.size(), 1);
  tokens.insert(tokens.end(), more.begin(), more.end());
  kinds.insert(kinds.end(), types.begin(), types.end());
  kinds.resize(tokens.size(), 1);
  return Keys()
      .Text("model", "gpt2")
      .Text("pre", "qwen2")
      .Texts("tokens", tokens)
      .Types(kinds)
      .Texts("merges", merges);
}

// <unk> <s> </s> \u2581 a b ab, \u2581a.
Keys Spm() {
  return Keys()
      .Text("model", "llama")
      .Texts("tokens",
             {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581a"})
      .Types({2, 3, 3, 1, 1, 1, 1, 1})
      .Scores({0, 0, 0, -9, -9, -9, -2, -1});
}

void ExpectRefused(const Keys& keys, ErrorCode code, const std::string& text) {
  const auto tokenizer = keys.Load();
  ASSERT_FALSE(tokenizer) << text;
  EXPECT_EQ(tokenizer.error().code, code) << tokenizer.error().message;
  EXPECT_THAT(tokenizer.error().message, HasSubstr(text));
  EXPECT_THAT(tokenizer.error().message, Not(HasSubstr("\n")));
}

void ExpectCorrupt(const Keys& keys, const std::string& key) {
  ExpectRefused(keys, ErrorCode::kCorrupt, "tokenizer.ggml." + key + ":");
}

TEST(VocabularyTest, RefusesUnknownModelsAndPreTokenizers) {
  ExpectRefused(Bpe().Text("model", "bert"), ErrorCode::kUnsupported, "'bert'");
  ExpectRefused(Bpe().Text("pre", "llama-bpe"), ErrorCode::kUnsupported,
                "'llama-bpe'");
  ExpectRefused(Bpe().Text("pre", "a\nb"), ErrorCode::kUnsupported, "'a");
  ExpectRefused(Bpe().Text("model", "a\nb"), ErrorCode::kUnsupported, "'a");
  ExpectRefused(Bpe().Text("pre", ""), ErrorCode::kUnsupported,
                "tokenizer.ggml.pre");
}

TEST(VocabularyTest, RefusesMissingKeys) {
  for (const char* key : {"model", "pre", "tokens", "merges"}) {
    ExpectCorrupt(Bpe().Remove(key), key);
  }
  for (const char* key : {"tokens", "scores"}) {
    ExpectCorrupt(Spm().Remove(key), key);
  }
}

TEST(VocabularyTest, RefusesWrongTypes) {
  for (const char* key : {"model", "pre", "tokens", "merges", "token_type",
                          "add_bos_token", "add_eos_token"}) {
    ExpectCorrupt(Bpe().Id(key, 1), key);
  }
  for (const char* key : {"tokens", "merges", "bos_token_id", "eos_token_id",
                          "eot_token_id", "unknown_token_id"}) {
    ExpectCorrupt(Bpe().Text(key, "1"), key);
  }
  for (const char* key : {"scores", "add_space_prefix"}) {
    ExpectCorrupt(Spm().Id(key, 1), key);
  }
  ExpectCorrupt(Spm().Texts("scores", std::vector<std::string>(8, "0")),
                "scores");
  ExpectCorrupt(Bpe().Texts("token_type", {"1"}), "token_type");
}

TEST(VocabularyTest, RefusesWrongLengths) {
  ExpectCorrupt(Bpe().Texts("tokens", {}), "tokens");
  ExpectCorrupt(Bpe().Types({1, 1}), "token_type");
  ExpectCorrupt(Bpe().Types(std::vector<std::int32_t>(999, 1)), "token_type");
  ExpectCorrupt(Spm().Scores({0, 0}), "scores");
  ExpectCorrupt(Spm().Scores(std::vector<float>(9)), "scores");
}

TEST(VocabularyTest, RefusesIdsOutOfRange) {
  for (const char* key : {"bos_token_id", "eos_token_id", "unknown_token_id",
                          "eot_token_id", "eom_token_id", "fim_pad_token_id"}) {
    ExpectCorrupt(Bpe().Id(key, 256), key);
    ExpectCorrupt(Bpe().Id(key, 0xFFFFFFFFU), key);
    EXPECT_TRUE(Bpe().Id(key, 255).Load()) << key;
  }
  ExpectCorrupt(Bpe().Set("eos_token_id",
                          [](GgufBuilder& b, const std::string& k) {
                            b.Number(k, GgufType::kInt32, std::int32_t{-1});
                          }),
                "eos_token_id");
}

TEST(VocabularyTest, RefusesAddingATokenThatIsNotThere) {
  ExpectCorrupt(Bpe().Flag("add_bos_token", true), "add_bos_token");
  ExpectCorrupt(Bpe().Flag("add_eos_token", true), "add_eos_token");
}

TEST(VocabularyTest, RefusesBadTokens) {
  ExpectCorrupt(Bpe({"xy", "xy"}), "tokens");
  ExpectCorrupt(Bpe({"xy"}, {7}), "token_type");
  ExpectCorrupt(Bpe({"xy"}, {-1}), "token_type");
  std::vector<std::string> tokens = BytePieces();
  tokens.erase(tokens.begin() + 'a');
  ExpectCorrupt(Bpe().Texts("tokens", tokens).Remove("token_type"), "tokens");
  EXPECT_TRUE(Bpe({"", "", "xy"}).Load());  // padding may be empty
}

TEST(VocabularyTest, RefusesMergesOfUnknownPieces) {
  const std::vector<std::string> bad = {"a b", "xy a", "a xz", "ab",
                                        "",    " ",    "a ",   " a"};
  for (const std::string& line : bad) {
    SCOPED_TRACE(line);
    ExpectCorrupt(Bpe({"xy"}, {}, {"x y", line}), "merges");
  }
}

TEST(VocabularyTest, RefusesScoresThatAreNoNumbers) {
  ExpectCorrupt(Spm().Scores({0, 0, 0, 0, 0, 0, 0,
                              std::numeric_limits<float>::quiet_NaN()}),
                "scores");
  EXPECT_TRUE(Spm()
                  .Scores({0, 0, 0, 0, 0, 0, 0,
                           -std::numeric_limits<float>::infinity()})
                  .Load());
}

TEST(VocabularyTest, RefusesSentencePieceWithoutAWayToWriteBytes) {
  const Keys keys = Keys()
                        .Text("model", "llama")
                        .Texts("tokens", {"a"})
                        .Scores({0})
                        .Flag("add_bos_token", false);
  ExpectCorrupt(keys, "tokens");
}

TEST(BpeTokenizerTest, EarlierMergesFirstThenTheLeftmost) {
  const auto tokenizer =
      Bpe({"ab", "bc", "abc", "aa"}, {}, {"b c", "a b", "a bc", "a a"})
          .MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("abc"), ElementsAre(258));
  EXPECT_THAT(tokenizer->Encode("ab"), ElementsAre(256));
  EXPECT_THAT(tokenizer->Encode("aaa"), ElementsAre(259, 'a'));
}

TEST(BpeTokenizerTest, OfEqualMergesTheFirstCounts) {
  const auto tokenizer =
      Bpe({"ab", "bc"}, {}, {"a b", "b c", "a b"}).MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("abc"), ElementsAre(256, 'c'));
}

// Thirty-two symbols is where the heap takes over from the scan.
TEST(BpeTokenizerTest, LongWordsMergeAsShortOnesDo) {
  const auto tokenizer =
      Bpe({"aa", "aaaa", "aaaaaaaa"}, {}, {"a a", "aa aa", "aaaa aaaa"})
          .MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  for (std::size_t length = 1; length < 200; ++length) {
    std::vector<TokenId> expected(length / 8, 258);
    if ((length & 4) != 0) expected.push_back(257);
    if ((length & 2) != 0) expected.push_back(256);
    if ((length & 1) != 0) expected.push_back('a');
    EXPECT_EQ(tokenizer->Encode(std::string(length, 'a')), expected) << length;
  }
}

TEST(BpeTokenizerTest, LongerSpecialTokensAreMatchedFirst) {
  const auto tokenizer =
      Bpe({"<b", "a<b>", "<b>c", "<b>"}, {4, 4, 4, 3}).MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("a<b>c"), ElementsAre(257, 'c'));
  EXPECT_THAT(tokenizer->Encode("<b>c<b>"), ElementsAre(258, 259));
  EXPECT_THAT(tokenizer->Encode("<b>", {.parse_special = false}),
              ElementsAre(256, '>'));
}

TEST(BpeTokenizerTest, AddsBosAndEosWhereTheFileSaysSo) {
  const auto tokenizer = Bpe({"<s>", "</s>"}, {3, 3})
                             .Id("bos_token_id", 256)
                             .Id("eos_token_id", 257)
                             .Flag("add_bos_token", true)
                             .Flag("add_eos_token", true)
                             .MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<TokenId> ids = tokenizer->Encode("a");
  EXPECT_THAT(ids, ElementsAre(256, 'a', 257));
  EXPECT_EQ(tokenizer->Decode(ids), "a");
  EXPECT_THAT(tokenizer->Encode("a", {.add_special = false}), ElementsAre('a'));
}

TEST(BpeTokenizerTest, OrdinaryTextThatLooksLikeAnEndIsNone) {
  const auto tokenizer =
      Bpe({"</s>", "<|im_end|>", "<|eom_id|>"}, {1, 1, 1}).MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(256));
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(257));
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(258));
  EXPECT_EQ(tokenizer->Bytes(256, false), "</s>");
  EXPECT_EQ(tokenizer->Bytes(257, false), "");
}

TEST(SpmTokenizerRulesTest, HigherScoresFirst) {
  const auto tokenizer = Spm().MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("ab"), ElementsAre(1, 7, 5));
  EXPECT_THAT(tokenizer->Encode("bab"), ElementsAre(1, 3, 5, 6));
  const auto other = Spm().Scores({0, 0, 0, -9, -9, -9, -1, -2}).MustLoad();
  ASSERT_NE(other, nullptr);
  EXPECT_THAT(other->Encode("ab"), ElementsAre(1, 3, 6));
}

TEST(SpmTokenizerRulesTest, WithoutTheSpacePrefix) {
  const auto tokenizer = Spm()
                             .Flag("add_space_prefix", false)
                             .Flag("add_bos_token", false)
                             .MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("ab"), ElementsAre(6));
  EXPECT_THAT(tokenizer->Encode(" a"), ElementsAre(7));
  EXPECT_EQ(tokenizer->Decode(std::vector{7}), " a");
}

// Words can be cut at spaces only while no piece has a space inside.
TEST(SpmTokenizerRulesTest, PiecesWithSpacesInside) {
  const auto tokenizer =
      Keys()
          .Text("model", "llama")
          .Texts("tokens", {"<unk>", "<s>", "</s>", "\u2581", "a", "b",
                            "a\u2581", "a\u2581b", "\u2581a"})
          .Types({2, 3, 3, 1, 1, 1, 1, 1, 1})
          .Scores({0, 0, 0, -9, -9, -9, -1, -2, -3})
          .MustLoad();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("a b"), ElementsAre(1, 3, 7));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a b")), "a b");
}

}  // namespace
}  // namespace sluice
