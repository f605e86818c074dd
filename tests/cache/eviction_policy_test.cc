#include "cache/eviction_policy.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "cache/expert_cache.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/aligned_buffer.h"

namespace sluice::cache {
namespace {

TEST(EvictionPolicyTest, NamesRoundTrip) {
  for (const PolicyKind kind : kPolicyKinds) {
    const auto parsed = ParsePolicy(PolicyName(kind));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(*parsed, kind);
    EXPECT_EQ(MakePolicy(kind, 1, 1)->name(), PolicyName(kind));
  }
  for (const char* name : {"", "LRU", "lru ", "fifo"}) {
    const auto parsed = ParsePolicy(name);
    ASSERT_FALSE(parsed.has_value());
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(parsed.error().message,
                testing::HasSubstr(fmt::format("'{}'", name)));
  }
}

constexpr std::size_t kLayers = 12;
constexpr std::size_t kExperts = 32;
constexpr std::size_t kUsed = 4;

using Token = std::vector<std::vector<ExpertId>>;  // [layers][used]

// Tokens whose experts are drawn without repetition; the first eight of
// a layer are together `skew` times as likely as the others.
std::vector<Token> MakeTokens(std::size_t count, unsigned skew) {
  std::mt19937 random(3);
  std::vector<Token> tokens(count, Token(kLayers));
  for (Token& token : tokens) {
    for (std::size_t l = 0; l < kLayers; ++l) {
      std::vector<bool> taken(kExperts);
      while (token[l].size() < kUsed) {
        const bool low = random() % (skew + 1) != 0;
        const std::size_t e =
            low ? random() % 8 : 8 + random() % (kExperts - 8);
        if (taken[e]) continue;
        taken[e] = true;
        token[l].push_back(
            {static_cast<std::uint16_t>(l), static_cast<std::uint16_t>(e)});
      }
    }
  }
  return tokens;
}

// Runs tokens through a cache as a decoding engine does: all lookups of a
// layer, then all its reservations, pins held until the layer is done.
CacheStats Replay(const std::vector<Token>& tokens, PolicyKind policy,
                  std::size_t slots) {
  auto made = ExpertCache::Create({.slots = slots,
                                   .slot_bytes = storage::kIoAlignment,
                                   .layers = kLayers,
                                   .experts = kExperts,
                                   .policy = policy,
                                   .huge_pages = false});
  EXPECT_TRUE(made.has_value());
  ExpertCache& cache = **made;
  for (const Token& token : tokens) {
    for (const auto& ids : token) {
      std::vector<Pin> pins;
      std::vector<ExpertId> misses;
      for (const ExpertId id : ids) {
        if (auto pin = cache.Lookup(id)) {
          pins.push_back(std::move(*pin));
        } else {
          misses.push_back(id);
        }
      }
      for (const ExpertId id : misses) {
        auto reservation = cache.Reserve(id);
        EXPECT_TRUE(reservation.has_value());
        if (reservation) pins.push_back(reservation->Commit());
      }
    }
  }
  return cache.stats();
}

// Slots for three quarters of one token's experts, each token the same: LRU
// evicts every expert before its turn comes again.
TEST(EvictionPolicyTest, LfruSurvivesTheCycleThatDefeatsLru) {
  const std::vector<Token> tokens(50, MakeTokens(1, 3)[0]);
  const std::size_t slots = kLayers * kUsed * 3 / 4;
  EXPECT_EQ(Replay(tokens, PolicyKind::kLru, slots).hits, 0u);
  const CacheStats lfru = Replay(tokens, PolicyKind::kLfru, slots);
  // Belady's policy keeps all slots but those of the layer in use.
  EXPECT_GT(lfru.hits, lfru.lookups / 2);
}

TEST(EvictionPolicyTest, LfruKeepsTheFrequentBelowTheWorkingSet) {
  const std::vector<Token> tokens = MakeTokens(200, 9);
  const std::size_t slots = kLayers * kUsed / 2;
  const CacheStats lru = Replay(tokens, PolicyKind::kLru, slots);
  const CacheStats lfru = Replay(tokens, PolicyKind::kLfru, slots);
  EXPECT_EQ(lru.hits, 0u);
  EXPECT_GT(lfru.hits, lfru.lookups / 10);
}

TEST(EvictionPolicyTest, ChoicesAreRepeatable) {
  const std::vector<Token> tokens = MakeTokens(100, 4);
  for (const PolicyKind kind : kPolicyKinds) {
    const CacheStats first = Replay(tokens, kind, 100);
    const CacheStats second = Replay(tokens, kind, 100);
    EXPECT_EQ(first.hits, second.hits);
    EXPECT_EQ(first.evictions, second.evictions);
    EXPECT_EQ(first.evictions + 100, first.misses);
    EXPECT_GT(first.hits, 0u);
  }
}

TEST(EvictionPolicyTest, NothingIsEvictedWhenEverythingFits) {
  const std::vector<Token> tokens = MakeTokens(100, 1);
  for (const PolicyKind kind : kPolicyKinds) {
    const CacheStats stats = Replay(tokens, kind, kLayers * kExperts);
    EXPECT_EQ(stats.evictions, 0u);
    EXPECT_LE(stats.misses, kLayers * kExperts);
  }
}

}  // namespace
}  // namespace sluice::cache
