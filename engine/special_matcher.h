// SpecialMatcher: cuts a text at the special tokens that it contains.
//
// Longer tokens are matched first, everywhere in the text; then shorter ones in
// what is left; equal lengths from left to right. User-defined tokens are
// always matched, control and unknown tokens only when asked for.
//
// Costs one pass over the text, plus one lookup per distinct token length at
// each place where a special token could begin.
//
// Thread safety: immutable after creation; const methods may run concurrently.
#ifndef SLUICE_ENGINE_SPECIAL_MATCHER_H_
#define SLUICE_ENGINE_SPECIAL_MATCHER_H_

#include <bitset>
#include <cstddef>
#include <string_view>
#include <vector>

#include "engine/tokenizer.h"
#include "engine/vocabulary.h"

namespace sluice {

class SpecialMatcher {
 public:
  // A stretch of plain text, or one special token.
  struct Fragment {
    std::size_t begin = 0;  // bytes into the text
    std::size_t end = 0;
    TokenId id = kNoToken;  // kNoToken: plain text
  };

  explicit SpecialMatcher(const Vocabulary& vocabulary);

  // The fragments in order; together they are the whole text; none is empty.
  // `vocabulary` is the one given to the constructor.
  std::vector<Fragment> Cut(const Vocabulary& vocabulary, std::string_view text,
                            bool with_control) const;

  std::size_t memory_bytes() const {
    return lengths_.capacity() * sizeof(Length);
  }

 private:
  struct Length {
    std::size_t bytes = 0;
    std::bitset<256> first;  // first bytes of the tokens of this length
  };
  std::vector<Length> lengths_;  // longest first
  std::bitset<256> first_;       // of any length
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_SPECIAL_MATCHER_H_
