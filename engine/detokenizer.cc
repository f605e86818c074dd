#include <string>
#include <string_view>

#include "engine/tokenizer.h"
#include "engine/utf8.h"

namespace sluice {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

std::string Detokenizer::Push(TokenId id) {
  if (first_) {
    // Decode, unlike Bytes, drops what Encode puts before a text.
    const std::string bytes = tokenizer_.Decode({&id, 1}, false);
    first_ = tokenizer_.Bytes(id, false).empty();
    pending_ += bytes;
  } else {
    pending_ += tokenizer_.Bytes(id, false);
  }
  return TakeComplete(false);
}

std::string Detokenizer::Finish() { return TakeComplete(true); }

std::string Detokenizer::TakeComplete(bool final) {
  std::string out;
  std::size_t at = 0;
  while (at < pending_.size()) {
    const std::string_view rest = std::string_view(pending_).substr(at);
    const Utf8Step step = NextUtf8(rest);
    if (step.truncated && !final) break;
    out += step.valid ? rest.substr(0, step.length) : kReplacement;
    at += step.length;
  }
  pending_.erase(0, at);
  return out;
}

}  // namespace sluice
