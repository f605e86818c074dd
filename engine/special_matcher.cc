#include "engine/special_matcher.h"

#include <algorithm>
#include <cstdint>

namespace sluice {

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary) {
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const TokenId id = static_cast<TokenId>(i);
    const std::string_view text = vocabulary.Text(id);
    if (text.empty() || !vocabulary.IsSpecial(id)) continue;
    // Sorted insertion: there are few distinct lengths.
    auto at = std::lower_bound(
        lengths_.begin(), lengths_.end(), text.size(),
        [](const Length& a, std::size_t bytes) { return a.bytes > bytes; });
    if (at == lengths_.end() || at->bytes != text.size()) {
      at = lengths_.insert(at, Length{text.size(), {}});
    }
    at->first.set(static_cast<std::uint8_t>(text[0]));
    first_.set(static_cast<std::uint8_t>(text[0]));
  }
}

std::vector<SpecialMatcher::Fragment> SpecialMatcher::Cut(
    const Vocabulary& vocabulary, std::string_view text,
    bool with_control) const {
  std::vector<std::size_t> starts;  // where any special token could begin
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (first_[static_cast<std::uint8_t>(text[i])]) starts.push_back(i);
  }
  std::vector<Fragment> fragments;
  if (!text.empty()) fragments.push_back({0, text.size(), kNoToken});
  if (starts.empty()) return fragments;

  const auto match = [&](std::size_t start, const Length& length) {
    if (!length.first[static_cast<std::uint8_t>(text[start])]) return kNoToken;
    const TokenId id = vocabulary.Find(text.substr(start, length.bytes));
    if (id == kNoToken || !vocabulary.IsSpecial(id)) return kNoToken;
    return with_control || !vocabulary.IsHidden(id) ? id : kNoToken;
  };
  std::vector<Fragment> cut;
  for (const Length& length : lengths_) {
    cut.clear();
    auto start = starts.begin();
    for (const Fragment& fragment : fragments) {
      std::size_t done = fragment.begin;
      while (start != starts.end() && *start < fragment.end) {
        const std::size_t at = *start++;
        if (fragment.id != kNoToken || at < done) continue;
        if (length.bytes > fragment.end - at) continue;
        const TokenId id = match(at, length);
        if (id == kNoToken) continue;
        if (at > done) cut.push_back({done, at, kNoToken});
        done = at + length.bytes;
        cut.push_back({at, done, id});
      }
      if (done < fragment.end) cut.push_back({done, fragment.end, fragment.id});
    }
    fragments.swap(cut);
  }
  return fragments;
}

}  // namespace sluice
