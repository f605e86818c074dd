#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/tokenizer.h"

namespace sluice {
namespace {

// Token i is pieces[i]; token 0 is a control token; Decode drops one leading
// space, as SentencePiece tokenizers do.
class PieceTokenizer final : public Tokenizer {
 public:
  explicit PieceTokenizer(std::vector<std::string> pieces)
      : pieces_(std::move(pieces)) {}

  using Tokenizer::Encode;
  std::vector<TokenId> Encode(std::string_view, EncodeOptions) const override {
    return {};
  }
  std::string Bytes(TokenId id, bool show_special) const override {
    if (id == 0 && !show_special) return {};
    return pieces_.at(static_cast<std::size_t>(id));
  }
  std::string Decode(std::span<const TokenId> ids,
                     bool show_special) const override {
    std::string text;
    for (const TokenId id : ids) text += Bytes(id, show_special);
    if (text.starts_with(' ')) text.erase(0, 1);
    return text;
  }
  std::size_t size() const override { return pieces_.size(); }
  std::optional<TokenId> bos() const override { return 0; }
  std::optional<TokenId> eos() const override { return 0; }
  bool IsEndOfGeneration(TokenId id) const override { return id == 0; }
  std::size_t memory_bytes() const override { return 0; }

 private:
  std::vector<std::string> pieces_;
};

// What each token of `pieces` releases, then what the end does.
std::vector<std::string> Stream(std::vector<std::string> pieces) {
  pieces.insert(pieces.begin(), "<s>");
  const PieceTokenizer tokenizer(pieces);
  Detokenizer detokenizer(tokenizer);
  std::vector<std::string> out;
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    out.push_back(detokenizer.Push(static_cast<TokenId>(i)));
  }
  out.push_back(detokenizer.Finish());
  return out;
}

using Texts = std::vector<std::string>;

TEST(DetokenizerTest, HoldsBackHalfACharacter) {
  EXPECT_EQ(Stream({"a\xF0\x9F", "\xA6", "\x99z"}),
            (Texts{"a", "", "\xF0\x9F\xA6\x99z", ""}));
}

TEST(DetokenizerTest, ReplacesWhatCanNeverBecomeValid) {
  // A lone continuation, an overlong form, a surrogate, a lead byte that is
  // followed by something else.
  EXPECT_EQ(Stream({"\x80"}), (Texts{"\uFFFD", ""}));
  EXPECT_EQ(Stream({"\xC0\xAF"}), (Texts{"\uFFFD\uFFFD", ""}));
  EXPECT_EQ(Stream({"\xED\xA0\x80"}), (Texts{"\uFFFD\uFFFD\uFFFD", ""}));
  EXPECT_EQ(Stream({"\xE2\x82", "x"}), (Texts{"", "\uFFFDx", ""}));
  EXPECT_EQ(Stream({"\xF5", "\xFF"}), (Texts{"\uFFFD", "\uFFFD", ""}));
}

TEST(DetokenizerTest, FinishReplacesWhatNeverCame) {
  EXPECT_EQ(Stream({"a\xF0\x9F\xA6"}), (Texts{"a", "\uFFFD"}));
  EXPECT_EQ(Stream({"a"}), (Texts{"a", ""}));
}

TEST(DetokenizerTest, DropsTheLeadingSpaceOfTheFirstTextOnly) {
  EXPECT_EQ(Stream({" a", " b"}), (Texts{"a", " b", ""}));
  EXPECT_EQ(Stream({"a", " b"}), (Texts{"a", " b", ""}));
  EXPECT_EQ(Stream({" ", " a"}), (Texts{"", " a", ""}));
}

TEST(DetokenizerTest, ControlTokensPrintNothingAndAreNotTheFirstText) {
  const PieceTokenizer tokenizer({"<s>", " a"});
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.Push(0), "");
  EXPECT_EQ(detokenizer.Push(1), "a");
  EXPECT_EQ(detokenizer.Push(0), "");
  EXPECT_EQ(detokenizer.Push(1), " a");
}

TEST(DetokenizerTest, EveryPrefixIsValidWhereverTheTextIsCut) {
  const std::string text = "h\u00E9\u4E16\U0001F999!";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const Texts out = Stream({text.substr(0, cut), text.substr(cut)});
    EXPECT_EQ(out[0] + out[1] + out[2], text);
    EXPECT_EQ(out[0].find("\uFFFD"), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice
