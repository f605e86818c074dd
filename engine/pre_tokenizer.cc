#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/pre_tokenizer.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <cstdint>
#include <string>

#include "engine/utf8.h"
#include "storage/header_file.h"

namespace sluice {

namespace {

// Unicode White_Space (PropList.txt), for use inside [].
#define SLUICE_SPACE                                                  \
  R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028})" \
  R"(\x{2029}\x{202F}\x{205F}\x{3000})"

// Every character matches some alternative, so patterns are anchored.
// OpenAI, GPT-2 (encoder.py).
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^)" SLUICE_SPACE
    R"(\p{L}\p{N}]+|[)" SLUICE_SPACE R"(]+(?![^)" SLUICE_SPACE
    R"(])|[)" SLUICE_SPACE R"(]+)";

// Qwen2 and Qwen3 (tokenizer.json). The contractions are spelled out instead of
// matched without case, which would let in U+017F for s.
constexpr std::string_view kQwen2 =
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|)"
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^)" SLUICE_SPACE
    R"(\p{L}\p{N}]+[\r\n]*|[)" SLUICE_SPACE R"(]*[\r\n]+|[)" SLUICE_SPACE
    R"(]+(?![^)" SLUICE_SPACE R"(])|[)" SLUICE_SPACE R"(]+)";

#undef SLUICE_SPACE

struct Known {
  std::string_view name;
  std::string_view pattern;
};

// Names that converters give to tokenizers with one of these two patterns.
constexpr std::array<Known, 9> kKnown = {{
    {"qwen2", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
    {"megrez", kQwen2},
    {"hunyuan", kQwen2},
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"exaone4", kGpt2},
}};

PCRE2_SPTR Units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

}  // namespace

void PreTokenizer::FreeCode::operator()(pcre2_real_code_8* code) const {
  pcre2_code_free(code);
}

void Words::FreeMatch::operator()(pcre2_real_match_data_8* match) const {
  pcre2_match_data_free(match);
}

Result<PreTokenizer> PreTokenizer::Create(std::string_view name) {
  std::string_view pattern;
  for (const Known& known : kKnown) {
    if (known.name == name) pattern = known.pattern;
  }
  if (pattern.empty()) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("tokenizer.ggml.pre: unknown pre-tokenizer '{}'; "
                            "known are qwen2, gpt-2 and their aliases",
                            storage::OneLine(name)));
  }
  int error = 0;
  PCRE2_SIZE at = 0;
  PreTokenizer pre;
  pre.code_.reset(pcre2_compile(Units(pattern), pattern.size(),
                                PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error,
                                &at, nullptr));
  if (!pre.code_) {
    return Fail(
        ErrorCode::kInternal,
        fmt::format("pattern of {}: PCRE2 error {} at {}", name, error, at));
  }
  // Where the system forbids code at run time, the interpreter serves.
  pcre2_jit_compile(pre.code_.get(), PCRE2_JIT_COMPLETE);
  return pre;
}

std::size_t PreTokenizer::memory_bytes() const {
  std::size_t code = 0;
  std::size_t jit = 0;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_SIZE, &code);
  pcre2_pattern_info(code_.get(), PCRE2_INFO_JITSIZE, &jit);
  return code + jit;
}

Words::Words(const PreTokenizer& pre)
    : pre_(pre), match_(pcre2_match_data_create(1, nullptr)) {}

void Words::Reset(std::string_view text) {
  rest_ = text;
  well_formed_ = 0;
}

std::string_view Words::Next() {
  if (rest_.empty()) return {};
  // The pattern is given well-formed stretches only, each checked once: PCRE2's
  // own check would look at the whole text again for every word.
  while (well_formed_ < rest_.size()) {
    const Utf8Step step = NextUtf8(rest_.substr(well_formed_));
    if (!step.valid) break;
    well_formed_ += step.length;
  }
  std::size_t length = 0;
  if (well_formed_ > 0) {
    length = Match();
    well_formed_ -= length;
  } else {
    while (length < rest_.size()) {
      const Utf8Step step = NextUtf8(rest_.substr(length));
      if (step.valid) break;
      length += step.length;
    }
  }
  const std::string_view word = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return word;
}

// The length of the word at the start of rest_, which is well formed there.
std::size_t Words::Match() const {
  const std::string_view text = rest_.substr(0, well_formed_);
  if (match_ != nullptr) {
    // The second try is for a word that exhausts the compiled code's stack.
    for (const std::uint32_t extra : {0U, PCRE2_NO_JIT}) {
      const int found =
          pcre2_match(pre_.code_.get(), Units(text), text.size(), 0,
                      PCRE2_NO_UTF_CHECK | extra, match_.get(), nullptr);
      if (found <= 0) continue;
      const std::size_t end = pcre2_get_ovector_pointer(match_.get())[1];
      if (end > 0) return end;
    }
  }
  return NextUtf8(text).length;
}

}  // namespace sluice
