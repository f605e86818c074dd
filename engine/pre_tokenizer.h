// PreTokenizer: cuts text into the words inside which byte-level BPE merges.
//
// The patterns are those of the models' own tokenizers, matched by PCRE2 with
// Unicode properties, compiled just in time where the system allows. White
// space is Unicode's White_Space, spelled out, because PCRE2's own \s differs.
// Bytes that are not UTF-8 match nothing: a run of them is a word.
//
// Thread safety: immutable after creation; any number of Words may read it.
#ifndef SLUICE_ENGINE_PRE_TOKENIZER_H_
#define SLUICE_ENGINE_PRE_TOKENIZER_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "storage/result.h"

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;

namespace sluice {

class PreTokenizer {
 public:
  // `name`: `tokenizer.ggml.pre`.
  // Returns: kUnsupported naming the value, kInternal.
  static Result<PreTokenizer> Create(std::string_view name);

  std::size_t memory_bytes() const;

 private:
  friend class Words;
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const;
  };
  std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
};

// The words of a text in order: none is empty and together they are the text.
// Thread safety: thread-compatible; needs `pre` and the text to outlive it.
class Words {
 public:
  explicit Words(const PreTokenizer& pre);
  void Reset(std::string_view text);
  // Empty at the end.
  std::string_view Next();

 private:
  std::size_t Match() const;

  struct FreeMatch {
    void operator()(pcre2_real_match_data_8* match) const;
  };
  const PreTokenizer& pre_;
  std::unique_ptr<pcre2_real_match_data_8, FreeMatch> match_;
  std::string_view rest_;  // not yet returned
  std::size_t well_formed_ =
      0;  // bytes at the start of rest_ known to be UTF-8
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRE_TOKENIZER_H_
