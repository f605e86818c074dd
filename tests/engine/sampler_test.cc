#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Everything off: draws from softmax(logits).
SamplerOptions Plain() {
  return {.temperature = 1.0F, .top_k = 0, .top_p = 1.0F, .min_p = 0.0F};
}

std::vector<float> LogitsOf(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) {
    logits.push_back(static_cast<float>(std::log(p)));
  }
  return logits;
}

std::vector<double> Frequencies(const SamplerOptions& options,
                                const std::vector<float>& logits,
                                const std::vector<TokenId>& history = {}) {
  constexpr int kDraws = 20000;
  Sampler sampler(options);
  std::vector<double> share(logits.size());
  for (int i = 0; i < kDraws; ++i) {
    const TokenId id = sampler.Sample(logits, history);
    share.at(static_cast<std::size_t>(id)) += 1.0 / kDraws;
  }
  return share;
}

// Five standard deviations of 20000 draws are below 0.018.
void ExpectShares(const std::vector<double>& actual,
                  const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 0.018) << "token " << i;
    if (expected[i] == 0.0) {
      EXPECT_EQ(actual[i], 0.0) << "token " << i;
    }
  }
}

TEST(SamplerTest, GreedyTakesTheLargestAndTheLowestOfEquals) {
  Sampler sampler({.temperature = 0.0F});
  EXPECT_EQ(sampler.Sample(std::vector{1.0F, 3.0F, 2.0F}, {}), 1);
  EXPECT_EQ(sampler.Sample(std::vector{1.0F, 3.0F, 3.0F}, {}), 1);
  EXPECT_EQ(sampler.Sample(std::vector{5.0F}, {}), 0);
}

TEST(SamplerTest, DrawsFromTheSoftmax) {
  const std::vector<double> p = {0.1, 0.2, 0.3, 0.4};
  ExpectShares(Frequencies(Plain(), LogitsOf(p)), p);
}

// Unlikely tokens have the frequency that e^x gives them.
TEST(SamplerTest, DrawsUnlikelyTokensAsOftenAsTheyAre) {
  const std::vector<double> p = {0.97, 0.02, 0.01};
  const std::vector<double> share = Frequencies(Plain(), LogitsOf(p));
  EXPECT_NEAR(share[1], 0.02, 0.005);
  EXPECT_NEAR(share[2], 0.01, 0.004);
}

TEST(SamplerTest, TemperatureFlattensAndSharpens) {
  SamplerOptions options = Plain();
  options.temperature = 0.5F;  // squares the odds
  ExpectShares(Frequencies(options, LogitsOf({0.25, 0.75})), {0.1, 0.9});
  options.temperature = 2.0F;  // their square root
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.9})), {0.25, 0.75});
  options.temperature = 1e-30F;
  ExpectShares(Frequencies(options, LogitsOf({0.4, 0.6})), {0.0, 1.0});
}

TEST(SamplerTest, TopKKeepsTheFirstKAndTheLowerIdOfEquals) {
  SamplerOptions options = Plain();
  options.top_k = 2;
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.3, 0.2, 0.4})),
               {0.0, 3.0 / 7, 0.0, 4.0 / 7});
  ExpectShares(Frequencies(options, LogitsOf({0.25, 0.25, 0.25, 0.25})),
               {0.5, 0.5, 0.0, 0.0});
  options.top_k = 9;  // more than there are
  ExpectShares(Frequencies(options, LogitsOf({0.5, 0.5})), {0.5, 0.5});
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  SamplerOptions options = Plain();
  options.top_p = 0.65F;
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.2, 0.3, 0.4})),
               {0.0, 0.0, 3.0 / 7, 4.0 / 7});
  options.top_p = 0.75F;
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.2, 0.3, 0.4})),
               {0.0, 2.0 / 9, 3.0 / 9, 4.0 / 9});
  options.top_p = 0.0F;  // always at least one
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.2, 0.3, 0.4})),
               {0.0, 0.0, 0.0, 1.0});
}

TEST(SamplerTest, TopPLooksAsFarIntoAFlatVocabularyAsItMust) {
  SamplerOptions options = Plain();
  options.top_p = 0.5F;
  const std::vector<float> logits(5000, 1.0F);
  Sampler sampler(options);
  TokenId largest = 0;
  for (int i = 0; i < 500; ++i) {
    largest = std::max(largest, sampler.Sample(logits, {}));
  }
  EXPECT_LT(largest, 2501);
  EXPECT_GT(largest, 2400);
}

TEST(SamplerTest, MinPIsRelativeToTheMostProbable) {
  SamplerOptions options = Plain();
  options.min_p = 0.45F;  // of 0.4: 0.18
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.2, 0.3, 0.4})),
               {0.0, 2.0 / 9, 3.0 / 9, 4.0 / 9});
  options.min_p = 1.0F;
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.2, 0.3, 0.4})),
               {0.0, 0.0, 0.0, 1.0});
}

TEST(SamplerTest, FiltersActBeforeTemperature) {
  SamplerOptions options = Plain();
  options.top_p = 0.65F;
  options.temperature = 100.0F;  // would bring every token into 0.65
  ExpectShares(Frequencies(options, LogitsOf({0.1, 0.2, 0.3, 0.4})),
               {0.0, 0.0, 0.5, 0.5});
}

TEST(SamplerTest, PenaltyDividesPositiveAndMultipliesNegativeLogitsOnce) {
  SamplerOptions options = {.temperature = 0.0F, .repeat_penalty = 2.0F};
  Sampler sampler(options);
  const std::vector<TokenId> twice = {0, 0};
  EXPECT_EQ(sampler.Sample(std::vector{4.0F, 1.5F}, twice), 0);  // 2 > 1.5
  EXPECT_EQ(sampler.Sample(std::vector{4.0F, 2.5F}, twice), 1);
  EXPECT_EQ(sampler.Sample(std::vector{-1.0F, -1.5F}, twice), 1);
}

TEST(SamplerTest, PenaltyLooksBackAsFarAsAsked) {
  const std::vector<TokenId> history = {0, 1, 1};
  const std::vector<float> logits = {2.0F, 1.9F, 1.5F};
  SamplerOptions options = {
      .temperature = 0.0F, .repeat_penalty = 2.0F, .repeat_last_n = 2};
  EXPECT_EQ(Sampler(options).Sample(logits, history), 0);
  options.repeat_last_n = 3;
  EXPECT_EQ(Sampler(options).Sample(logits, history), 2);
  options.repeat_last_n = -1;
  EXPECT_EQ(Sampler(options).Sample(logits, history), 2);
  options.repeat_last_n = 0;
  EXPECT_EQ(Sampler(options).Sample(logits, history), 0);
}

TEST(SamplerTest, HistoryOutsideOfTheVocabularyIsIgnored) {
  SamplerOptions options = Plain();
  options.repeat_penalty = 2.0F;
  const std::vector<TokenId> history = {-1, 7, 1 << 30};
  ExpectShares(Frequencies(options, LogitsOf({0.5, 0.5}), history), {0.5, 0.5});
}

TEST(SamplerTest, NanAndInfinityAreSafe) {
  const std::vector<SamplerOptions> all = {
      Plain(), {}, {.temperature = 0.0F}, {.repeat_penalty = 0.5F}};
  for (const SamplerOptions& options : all) {
    Sampler sampler(options);
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(sampler.Sample(std::vector{kNan, 1.0F, -kInf}, {}), 1);
      EXPECT_EQ(sampler.Sample(std::vector{kNan, kInf, 1.0F}, {{1}}), 1);
      EXPECT_EQ(sampler.Sample(std::vector{kNan, -kInf, kNan}, {{1}}), 0);
    }
  }
}

TEST(SamplerTest, EqualSeedsGiveEqualTokens) {
  const std::vector<float> logits = LogitsOf({0.1, 0.2, 0.3, 0.4});
  SamplerOptions options = Plain();
  options.seed = 7;
  Sampler a(options);
  Sampler b(options);
  options.seed = 8;
  Sampler other(options);
  bool differs = false;
  for (int i = 0; i < 200; ++i) {
    const TokenId id = a.Sample(logits, {});
    EXPECT_EQ(b.Sample(logits, {}), id);
    differs |= other.Sample(logits, {}) != id;
  }
  EXPECT_TRUE(differs);
}

// The draws are part of the contract: they must not differ between machines.
TEST(SamplerTest, TheMappingFromSeedToTokensIsFixed) {
  SamplerOptions options = Plain();
  options.seed = 42;
  Sampler sampler(options);
  const std::vector<float> logits(1000, 0.5F);
  std::mt19937_64 random(42);
  for (int i = 0; i < 100; ++i) {
    const double u = static_cast<double>(random() >> 11) * 0x1p-53;
    EXPECT_EQ(sampler.Sample(logits, {}), static_cast<TokenId>(u * 1000));
  }
}

// A heap of k must keep what sorting everything keeps.
TEST(SamplerTest, TopKOfALargeVocabularyIsThatOfSorting) {
  std::mt19937 random(3);
  std::vector<float> logits(20000);
  for (float& logit : logits) {
    logit = static_cast<float>(random() % 5000) / 500.0F;  // with ties
  }
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
    return logits[static_cast<std::size_t>(a)] >
           logits[static_cast<std::size_t>(b)];
  });
  SamplerOptions options = Plain();
  options.top_k = 30;
  options.temperature = 50.0F;  // almost uniform: all 30 appear
  Sampler sampler(options);
  std::map<TokenId, int> seen;
  for (int i = 0; i < 400; ++i) ++seen[sampler.Sample(logits, {})];
  order.resize(30);
  std::sort(order.begin(), order.end());
  std::vector<TokenId> ids;
  for (const auto& [id, count] : seen) ids.push_back(id);
  EXPECT_EQ(ids, order);
}

TEST(SamplerOptionsTest, NamesTheOptionThatIsOutOfRange) {
  EXPECT_TRUE(SamplerOptions{}.Validate());
  const auto message = [](const SamplerOptions& options) {
    const auto valid = options.Validate();
    EXPECT_FALSE(valid);
    if (valid) return std::string();
    EXPECT_EQ(valid.error().code, ErrorCode::kInvalidArgument);
    return valid.error().message;
  };
  EXPECT_THAT(message({.temperature = -1.0F}), HasSubstr("temperature"));
  EXPECT_THAT(message({.temperature = kNan}), HasSubstr("temperature"));
  EXPECT_THAT(message({.temperature = kInf}), HasSubstr("temperature"));
  EXPECT_THAT(message({.top_k = -1}), HasSubstr("top_k"));
  EXPECT_THAT(message({.top_p = 1.5F}), HasSubstr("top_p"));
  EXPECT_THAT(message({.min_p = -0.1F}), HasSubstr("min_p"));
  EXPECT_THAT(message({.repeat_penalty = 0.0F}), HasSubstr("repeat_penalty"));
  EXPECT_THAT(message({.repeat_last_n = -2}), HasSubstr("repeat_last_n"));
}

}  // namespace
}  // namespace sluice
