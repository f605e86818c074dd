#include "cache/expert_cache.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "storage/aligned_buffer.h"
#include "tests/cache/cache_support.h"

namespace sluice::cache {
namespace {

TEST(ExpertCacheTest, MissReserveCommitHit) {
  auto cache = MakeCache(2);
  EXPECT_FALSE(cache->Lookup(Id(1, 3)).has_value());
  auto reservation = cache->Reserve(Id(1, 3));
  ASSERT_TRUE(reservation.has_value());
  EXPECT_EQ(reservation->id(), Id(1, 3));
  EXPECT_TRUE(cache->Contains(Id(1, 3)));
  std::memset(reservation->data(), 0x5a, kSlotBytes);
  {
    Pin pin = reservation->Commit();
    EXPECT_FALSE(*reservation);
    EXPECT_TRUE(pin.ready());
    EXPECT_FALSE(pin.failed());
  }
  auto pin = cache->Lookup(Id(1, 3));
  ASSERT_TRUE(pin.has_value());
  EXPECT_EQ(pin->id(), Id(1, 3));
  ASSERT_TRUE(pin->ready());
  EXPECT_EQ(pin->data()[kSlotBytes - 1], std::byte{0x5a});
  EXPECT_EQ(cache->stats().lookups, 2u);
  EXPECT_EQ(cache->stats().hits, 1u);
  EXPECT_EQ(cache->stats().misses, 1u);
  EXPECT_EQ(cache->stats().commits, 1u);
}

TEST(ExpertCacheTest, SlotsAreAlignedAndDistinct) {
  auto cache = MakeCache(3);
  std::set<std::byte*> seen;
  std::vector<Reservation> held;
  for (int e = 0; e < 3; ++e) {
    auto reservation = cache->Reserve(Id(0, e));
    ASSERT_TRUE(reservation.has_value());
    const auto address = reinterpret_cast<std::uintptr_t>(reservation->data());
    EXPECT_EQ(address % storage::kIoAlignment, 0u);
    EXPECT_TRUE(seen.insert(reservation->data()).second);
    held.push_back(std::move(*reservation));
  }
}

TEST(ExpertCacheTest, EvictsOnlyWhenFull) {
  auto cache = MakeCache(2);
  Load(*cache, Id(0, 0));
  Load(*cache, Id(0, 1));
  EXPECT_EQ(cache->stats().evictions, 0u);
  Load(*cache, Id(0, 2));
  EXPECT_EQ(cache->stats().evictions, 1u);
  EXPECT_FALSE(cache->Contains(Id(0, 0)));
  EXPECT_TRUE(cache->Contains(Id(0, 1)));
  EXPECT_TRUE(cache->Contains(Id(0, 2)));
}

TEST(ExpertCacheTest, PinsPreventEviction) {
  for (const PolicyKind policy : kPolicyKinds) {
    auto cache = MakeCache(2, policy);
    Load(*cache, Id(0, 0));
    Load(*cache, Id(0, 1));
    EXPECT_EQ(cache->available(), 2u);
    auto first = cache->Peek(Id(0, 0));
    auto second = cache->Peek(Id(0, 1));
    EXPECT_EQ(cache->available(), 0u);
    EXPECT_FALSE(cache->Reserve(Id(0, 2)).has_value());
    EXPECT_FALSE(cache->Contains(Id(0, 2)));
    second.reset();
    EXPECT_EQ(cache->available(), 1u);
    Load(*cache, Id(0, 2));
    EXPECT_TRUE(cache->Contains(Id(0, 0)));
    EXPECT_FALSE(cache->Contains(Id(0, 1)));
  }
}

TEST(ExpertCacheTest, EveryPinOfTwoMustGo) {
  auto cache = MakeCache(1);
  Load(*cache, Id(0, 0));
  auto first = cache->Lookup(Id(0, 0));
  auto second = cache->Lookup(Id(0, 0));
  EXPECT_EQ(first->data(), second->data());
  first.reset();
  EXPECT_EQ(cache->available(), 0u);
  EXPECT_FALSE(cache->Reserve(Id(0, 1)).has_value());
  second.reset();
  EXPECT_EQ(cache->available(), 1u);
  Load(*cache, Id(0, 1));
}

TEST(ExpertCacheTest, LoadingSlotsAreNoVictims) {
  auto cache = MakeCache(1);
  auto loading = cache->Reserve(Id(0, 0));
  EXPECT_EQ(cache->available(), 0u);
  EXPECT_FALSE(cache->Reserve(Id(0, 1)).has_value());
  Pin pin = loading->Commit();
  EXPECT_FALSE(cache->Reserve(Id(0, 1)).has_value());
}

TEST(ExpertCacheTest, LookupJoinsALoad) {
  auto cache = MakeCache(1);
  auto loading = cache->Reserve(Id(2, 2));
  auto joined = cache->Lookup(Id(2, 2));
  ASSERT_TRUE(joined.has_value());
  EXPECT_FALSE(joined->ready());
  EXPECT_FALSE(joined->failed());
  EXPECT_EQ(cache->stats().joins, 1u);
  EXPECT_EQ(cache->stats().hits, 0u);
  std::byte* slot = loading->data();
  {
    Pin own = loading->Commit();
  }
  EXPECT_TRUE(joined->ready());
  EXPECT_EQ(joined->data(), slot);
  EXPECT_EQ(cache->available(), 0u);
  joined.reset();
  EXPECT_EQ(cache->available(), 1u);
}

TEST(ExpertCacheTest, DroppedReservationFreesItsSlot) {
  auto cache = MakeCache(1);
  {
    auto loading = cache->Reserve(Id(0, 0));
  }
  EXPECT_FALSE(cache->Contains(Id(0, 0)));
  EXPECT_EQ(cache->available(), 1u);
  EXPECT_EQ(cache->stats().aborts, 1u);
  EXPECT_EQ(cache->stats().evictions, 0u);
  Load(*cache, Id(0, 0));
  EXPECT_TRUE(cache->Contains(Id(0, 0)));
}

TEST(ExpertCacheTest, AbortFailsThePinsThatJoined) {
  auto cache = MakeCache(2);
  auto loading = cache->Reserve(Id(0, 0));
  auto joined = cache->Lookup(Id(0, 0));
  loading.reset();
  EXPECT_FALSE(joined->ready());
  EXPECT_TRUE(joined->failed());
  EXPECT_EQ(joined->id(), Id(0, 0));
  EXPECT_FALSE(cache->Contains(Id(0, 0)));
  EXPECT_EQ(cache->available(), 1u);
  // A second attempt takes another slot and is no concern of the old pin.
  auto again = cache->Reserve(Id(0, 0));
  ASSERT_TRUE(again.has_value());
  Pin pin = again->Commit();
  EXPECT_TRUE(pin.ready());
  EXPECT_TRUE(joined->failed());
  joined.reset();
  EXPECT_TRUE(pin.ready());
  EXPECT_EQ(cache->available(), 1u);
}

TEST(ExpertCacheTest, MovedPinsReleaseOnce) {
  auto cache = MakeCache(2);
  Load(*cache, Id(0, 0));
  Load(*cache, Id(0, 1));
  {
    Pin a = std::move(*cache->Peek(Id(0, 0)));
    Pin b(std::move(a));
    EXPECT_FALSE(a);
    EXPECT_TRUE(b);
    EXPECT_EQ(cache->available(), 1u);
    Pin c = std::move(*cache->Peek(Id(0, 1)));
    EXPECT_EQ(cache->available(), 0u);
    c = std::move(b);  // lets go of expert 1
    EXPECT_EQ(c.id(), Id(0, 0));
    EXPECT_EQ(cache->available(), 1u);
    Pin& self = c;
    c = std::move(self);
    EXPECT_TRUE(c);
    EXPECT_EQ(cache->available(), 1u);
    c = Pin();
    EXPECT_EQ(cache->available(), 2u);
  }
  EXPECT_EQ(cache->available(), 2u);
}

TEST(ExpertCacheTest, MovedReservationsAbortOnce) {
  auto cache = MakeCache(2);
  Reservation a = std::move(*cache->Reserve(Id(0, 0)));
  Reservation b = std::move(*cache->Reserve(Id(0, 1)));
  EXPECT_EQ(cache->stats().aborts, 0u);
  a = std::move(b);  // gives up expert 0
  EXPECT_FALSE(b);
  EXPECT_EQ(a.id(), Id(0, 1));
  EXPECT_EQ(cache->stats().aborts, 1u);
  EXPECT_FALSE(cache->Contains(Id(0, 0)));
  Reservation& self = a;
  a = std::move(self);
  EXPECT_TRUE(a);
  {
    Pin pin = a.Commit();
  }
  a = Reservation();
  EXPECT_EQ(cache->stats().aborts, 1u);
  EXPECT_TRUE(cache->Contains(Id(0, 1)));
}

TEST(ExpertCacheTest, PeekIsNeitherCountedNorShown) {
  auto cache = MakeCache(2);
  Load(*cache, Id(0, 0));
  Load(*cache, Id(0, 1));
  EXPECT_TRUE(cache->Peek(Id(0, 0)).has_value());
  EXPECT_FALSE(cache->Peek(Id(0, 5)).has_value());
  EXPECT_EQ(cache->stats().lookups, 0u);
  Load(*cache, Id(0, 2));  // expert 0 is still the oldest
  EXPECT_FALSE(cache->Contains(Id(0, 0)));
}

TEST(ExpertCacheTest, CreateRefusesBadOptions) {
  const ExpertCache::Options good = {
      .slots = 1, .slot_bytes = kSlotBytes, .layers = 1, .experts = 1};
  EXPECT_TRUE(ExpertCache::Create(good).has_value());
  std::vector<ExpertCache::Options> bad(7, good);
  bad[0].slots = 0;
  bad[1].slot_bytes = 0;
  bad[2].slot_bytes = kSlotBytes + 1;
  bad[3].layers = 0;
  bad[4].experts = 0;
  bad[5].layers = bad[5].experts = std::size_t{1} << 33;
  bad[6].slots = std::size_t{1} << 40;
  for (const auto& options : bad) {
    auto cache = ExpertCache::Create(options);
    ASSERT_FALSE(cache.has_value());
    EXPECT_EQ(cache.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(cache.error().message, "");
  }
  ExpertCache::Options huge = good;
  huge.slot_bytes = std::size_t{1} << 60;
  auto cache = ExpertCache::Create(huge);
  ASSERT_FALSE(cache.has_value());
  EXPECT_EQ(cache.error().code, ErrorCode::kNoMemory);
}

// A random walk over everything that may be done, checked against the counts
// that must always hold and against the bytes written to each slot.
TEST(ExpertCacheTest, RandomWalkKeepsInvariants) {
  for (const PolicyKind policy : kPolicyKinds) {
    auto cache = MakeCache(5, policy);
    std::vector<Reservation> loading;
    std::vector<Pin> pins;
    std::mt19937 random(7);
    for (int step = 0; step < 20000; ++step) {
      const ExpertId id =
          Id(static_cast<int>(random() % 4), static_cast<int>(random() % 8));
      const unsigned action = random() % 5;
      if (action <= 1) {
        const bool known = cache->Contains(id);
        auto pin = cache->Lookup(id);
        ASSERT_EQ(pin.has_value(), known);
        if (pin) {
          ASSERT_EQ(pin->id(), id);
          pins.push_back(std::move(*pin));
        } else {
          const bool room = cache->available() > 0;
          auto reservation = cache->Reserve(id);
          ASSERT_EQ(reservation.has_value(), room);
          if (reservation) loading.push_back(std::move(*reservation));
        }
      } else if (action == 2 && !loading.empty()) {
        std::swap(loading[random() % loading.size()], loading.back());
        const ExpertId own = loading.back().id();
        std::memset(loading.back().data(), own.layer * 8 + own.expert,
                    kSlotBytes);
        if (random() % 3 != 0) pins.push_back(loading.back().Commit());
        loading.pop_back();
      } else if (!pins.empty()) {
        std::swap(pins[random() % pins.size()], pins.back());
        const Pin& pin = pins.back();
        if (pin.ready()) {
          ASSERT_EQ(static_cast<int>(pin.data()[0]),
                    pin.id().layer * 8 + pin.id().expert);
        }
        pins.pop_back();
      }
      const CacheStats& stats = cache->stats();
      ASSERT_EQ(stats.lookups, stats.hits + stats.joins + stats.misses);
      std::size_t held = 0;
      for (int l = 0; l < 4; ++l) {
        for (int e = 0; e < 8; ++e) held += cache->Contains(Id(l, e)) ? 1 : 0;
      }
      ASSERT_EQ(held, stats.commits + loading.size() - stats.evictions);
      ASSERT_LE(held, cache->slots());
      ASSERT_LE(cache->available() + loading.size(), cache->slots());
    }
    EXPECT_GT(cache->stats().evictions, 100u);
    EXPECT_GT(cache->stats().joins, 100u);
    EXPECT_GT(cache->stats().aborts, 100u);
    pins.clear();
    loading.clear();
    EXPECT_EQ(cache->available(), cache->slots());
  }
}

#ifndef NDEBUG
TEST(ExpertCacheDeathTest, MisuseIsAsserted) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto cache = MakeCache(2);
  Load(*cache, Id(0, 0));
  EXPECT_DEATH((void)cache->Reserve(Id(0, 0)), "Contains");
  EXPECT_DEATH((void)cache->Lookup(Id(0, 16)), "experts_");
  EXPECT_DEATH((void)cache->Contains(Id(4, 0)), "index_");
  EXPECT_DEATH((void)Pin().id(), "cache_");
  EXPECT_DEATH((void)Reservation().Commit(), "cache_");
  auto loading = cache->Reserve(Id(0, 1));
  auto joined = cache->Peek(Id(0, 1));
  EXPECT_DEATH((void)joined->data(), "ready");
  EXPECT_DEATH(cache.reset(), "idle");
}
#endif

}  // namespace
}  // namespace sluice::cache
