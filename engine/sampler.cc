#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace sluice {

namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

constexpr int kTerms = 13;

// 1 / i!, of the Taylor series of e^x.
constexpr std::array<double, kTerms> kInverseFactorial = [] {
  std::array<double, kTerms> values{};
  double factorial = 1.0;
  for (int i = 0; i < kTerms; ++i) {
    if (i > 0) factorial *= i;
    values[static_cast<std::size_t>(i)] = 1.0 / factorial;
  }
  return values;
}();

// e^x for x <= 0, the same to the last bit on every machine, which the C
// library does not promise: only IEEE additions, multiplications and powers of
// two. e^x = 2^k e^r with |r| <= ln(2)/2; the first term left out is r^13 / 13!
// < 2e-16. Below e^-700 it is 0.
double Exp(double x) {
  if (!(x > -700.0)) return 0.0;
  // ln(2) in two parts; k * the first, which ends in zeros, is exact.
  constexpr double kLn2High = 0x1.62e42fefa0000p-1;
  constexpr double kLn2Low = 0x1.cf79abc9e3b39p-40;
  // Truncation towards zero of a negative number: rounds to the nearest.
  const int k = static_cast<int>(x * 1.4426950408889634 - 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = kInverseFactorial[kTerms - 1];
  for (std::size_t i = kTerms - 1; i-- > 0;) {
    sum = sum * r + kInverseFactorial[i];
  }
  // 2^k, written by its exponent: k > -1012, so it is a normal number.
  return sum *
         std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
}

// Order of the chain: larger logits first, ties to the lower id.
constexpr auto kBefore = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
};

Result<void> OutOfRange(const char* option, double value, const char* range) {
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("{} is {}; it must be {}", option, value, range));
}

// NaN ranks with what is impossible; +inf is the largest number, so that
// differences stay numbers.
float Finite(float logit) {
  if (std::isnan(logit)) return -std::numeric_limits<float>::infinity();
  return std::min(logit, kLargest);
}

}  // namespace

Result<void> SamplerOptions::Validate() const {
  // Written so that NaN fails.
  if (!(temperature >= 0.0F && temperature <= kLargest)) {
    return OutOfRange("temperature", temperature, "0 or more");
  }
  if (top_k < 0) return OutOfRange("top_k", top_k, "0 (off) or more");
  if (!(top_p >= 0.0F && top_p <= 1.0F)) {
    return OutOfRange("top_p", top_p, "from 0 to 1 (off)");
  }
  if (!(min_p >= 0.0F && min_p <= 1.0F)) {
    return OutOfRange("min_p", min_p, "from 0 (off) to 1");
  }
  if (!(repeat_penalty > 0.0F && repeat_penalty <= kLargest)) {
    return OutOfRange("repeat_penalty", repeat_penalty, "above 0 (1: off)");
  }
  if (repeat_last_n < -1) {
    return OutOfRange("repeat_last_n", repeat_last_n,
                      "-1 (all), 0 (off) or more");
  }
  return {};
}

Sampler::Sampler(const SamplerOptions& options)
    : options_(options), random_(options.seed) {}

TokenId Sampler::Sample(std::span<const float> logits,
                        std::span<const TokenId> history) {
  CollectPenalized(logits.size(), history);
  SelectTopK(logits, options_.temperature > 0.0F ? TopK(logits.size()) : 1);
  if (options_.temperature <= 0.0F) return candidates_.front().id;
  KeepTopPAndMinP();
  return Draw();
}

std::size_t Sampler::TopK(std::size_t n_vocab) const {
  const auto k = static_cast<std::size_t>(options_.top_k);
  return k == 0 ? n_vocab : std::min(k, n_vocab);
}

// The distinct ids of the end of `history`, ascending.
void Sampler::CollectPenalized(std::size_t n_vocab,
                               std::span<const TokenId> history) {
  penalized_.clear();
  if (options_.repeat_penalty == 1.0F) return;
  if (options_.repeat_last_n >= 0) {
    const auto n = static_cast<std::size_t>(options_.repeat_last_n);
    history = history.last(std::min(n, history.size()));
  }
  for (const TokenId id : history) {
    if (id >= 0 && static_cast<std::size_t>(id) < n_vocab) {
      penalized_.push_back(id);
    }
  }
  std::sort(penalized_.begin(), penalized_.end());
  penalized_.erase(std::unique(penalized_.begin(), penalized_.end()),
                   penalized_.end());
}

// Fills candidates_ with the k first in order, after the penalty, in one pass:
// a heap of k with the last of them on top. All in id order when k is n_vocab.
void Sampler::SelectTopK(std::span<const float> logits, std::size_t k) {
  candidates_.clear();
  auto penalized = penalized_.begin();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    Candidate next = {static_cast<TokenId>(i), Finite(logits[i])};
    if (penalized != penalized_.end() && *penalized == next.id) {
      const float penalty = options_.repeat_penalty;
      next.logit = Finite(next.logit > 0.0F ? next.logit / penalty
                                            : next.logit * penalty);
      ++penalized;
    }
    if (candidates_.size() < k) {
      candidates_.push_back(next);
      if (candidates_.size() == k && k < logits.size()) {
        std::make_heap(candidates_.begin(), candidates_.end(), kBefore);
      }
    } else if (kBefore(next, candidates_.front())) {
      std::pop_heap(candidates_.begin(), candidates_.end(), kBefore);
      candidates_.back() = next;
      std::push_heap(candidates_.begin(), candidates_.end(), kBefore);
    }
  }
  if (k < logits.size()) {
    std::sort(candidates_.begin(), candidates_.end(), kBefore);
    sorted_ = candidates_.size();
  } else {
    sorted_ = 0;
  }
}

// Makes the first `count` candidates the first in order.
void Sampler::SortFirst(std::size_t count) {
  // Beyond an eighth, sorting everything is cheaper than selecting.
  if (count > candidates_.size() / 8) count = candidates_.size();
  if (count <= sorted_) return;
  const auto at = [this](std::size_t i) {
    return candidates_.begin() + static_cast<std::ptrdiff_t>(i);
  };
  if (count == candidates_.size()) {
    std::sort(at(sorted_), candidates_.end(), kBefore);
  } else {
    std::partial_sort(at(sorted_), at(count), candidates_.end(), kBefore);
  }
  sorted_ = count;
}

// Top-p: the fewest first candidates whose probabilities reach top_p of the
// whole. Then min-p: of those, what is at least min_p times as probable as the
// first. Both keep a first part of the order, so it does not matter which cuts
// first once top-p's whole is known; min-p does, because it needs no order and
// leaves less to sort.
void Sampler::KeepTopPAndMinP() {
  const double top =
      std::min_element(candidates_.begin(), candidates_.end(), kBefore)->logit;
  const auto weight = [top](const Candidate& c) {
    return c.logit == top ? 1.0 : Exp(c.logit - top);
  };
  double wanted = 0.0;
  if (options_.top_p < 1.0F) {
    for (const Candidate& c : candidates_) wanted += weight(c);
    wanted *= static_cast<double>(options_.top_p);
  }
  if (options_.min_p > 0.0F) {
    const double least = options_.min_p;
    std::erase_if(candidates_,
                  [&](const Candidate& c) { return weight(c) < least; });
    sorted_ = std::min(sorted_, candidates_.size());
  }
  if (options_.top_p >= 1.0F) return;
  SortFirst(kSortStep);
  double sum = 0.0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (i == sorted_) SortFirst(sorted_ * kSortGrowth);
    sum += weight(candidates_[i]);
    if (sum < wanted) continue;
    candidates_.resize(i + 1);
    return;
  }
}

// Inverse transform: u in [0, 1) is the upper 53 bits of one draw; the token is
// the first whose cumulative weight, in candidate order, exceeds u * total.
TokenId Sampler::Draw() {
  const auto first =
      *std::min_element(candidates_.begin(), candidates_.end(), kBefore);
  const double u = static_cast<double>(random_() >> 11) * 0x1p-53;
  if (std::isinf(first.logit)) return first.id;  // nothing is possible
  const double top = first.logit;
  const double temperature = options_.temperature;
  const auto weight = [&](const Candidate& c) {
    return Exp((c.logit - top) / temperature);
  };
  double total = 0.0;
  for (const Candidate& c : candidates_) total += weight(c);
  const double target = u * total;
  double sum = 0.0;
  for (const Candidate& c : candidates_) {
    sum += weight(c);
    if (sum > target) return c.id;
  }
  return first.id;  // u * total rounded up to total
}

}  // namespace sluice
