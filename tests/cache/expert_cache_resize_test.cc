#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "cache/expert_cache.h"
#include "gtest/gtest.h"
#include "storage/aligned_buffer.h"
#include "tests/cache/cache_support.h"

namespace sluice::cache {
namespace {

using storage::PlaneSet;

ExpertId Id(int expert) { return {0, static_cast<std::uint16_t>(expert)}; }

// Fills the slot with the expert's number.
void Load(ExpertCache& cache, int expert) {
  sluice::cache::Load(cache, Id(expert), expert);
}

bool Holds(ExpertCache& cache, int expert) {
  const auto pin = cache.Peek(Id(expert));
  if (!pin) return false;
  EXPECT_TRUE(pin->ready());
  for (std::size_t i = 0; i < kSlotBytes; ++i) {
    if (pin->data()[i] != std::byte(expert)) return false;
  }
  return true;
}

TEST(ExpertCacheResizeTest, WhatStaysIsThePolicysChoiceAndWhole) {
  auto cache = MakeCache(6);
  for (int i = 0; i < 6; ++i) Load(*cache, i);
  for (const int i : {5, 3}) cache->Lookup(Id(i));
  cache->Resize(2);
  EXPECT_EQ(cache->slots(), 2U);
  EXPECT_EQ(cache->capacity(), 6U);
  EXPECT_EQ(cache->available(), 2U);
  EXPECT_EQ(cache->stats().evictions, 4U);
  EXPECT_TRUE(Holds(*cache, 3));
  EXPECT_TRUE(Holds(*cache, 5));
  for (const int gone : {0, 1, 2, 4}) EXPECT_FALSE(cache->Contains(Id(gone)));
  Load(*cache, 7);
  EXPECT_EQ(cache->stats().evictions, 5U);
  EXPECT_TRUE(Holds(*cache, 7));
}

TEST(ExpertCacheResizeTest, GrowsBackWithFreeSlots) {
  auto cache = MakeCache(6);
  for (int i = 0; i < 6; ++i) Load(*cache, i);
  cache->Resize(1);
  cache->Resize(4);
  EXPECT_EQ(cache->slots(), 4U);
  EXPECT_EQ(cache->available(), 4U);
  EXPECT_TRUE(Holds(*cache, 5));
  for (const int i : {8, 9, 10}) Load(*cache, i);
  EXPECT_EQ(cache->stats().evictions, 5U);
  for (const int i : {5, 8, 9, 10}) EXPECT_TRUE(Holds(*cache, i)) << i;
  Load(*cache, 11);
  EXPECT_EQ(cache->stats().evictions, 6U);
  cache->Resize(6);
  EXPECT_EQ(cache->available(), 6U);
}

TEST(ExpertCacheResizeTest, EmptySlotsGoWithoutEvictions) {
  auto cache = MakeCache(6);
  for (int i = 0; i < 2; ++i) Load(*cache, i);
  cache->Resize(2);
  cache->Resize(2);
  EXPECT_EQ(cache->stats().evictions, 0U);
  EXPECT_TRUE(Holds(*cache, 0));
  EXPECT_TRUE(Holds(*cache, 1));
}

// Slots of two pages, of which a base plane takes one.
class Narrowed : public ::testing::Test {
 protected:
  void SetUp() override {
    cache_ = *ExpertCache::Create({.slots = 6,
                                   .slot_bytes = 2 * kSlotBytes,
                                   .base_bytes = kSlotBytes,
                                   .layers = 1,
                                   .experts = 16,
                                   .policy = PolicyKind::kLru,
                                   .huge_pages = false});
    for (int i = 0; i < 6; ++i) Load(i, PlaneSet::kAll);
    cache_->Resize(5, 3);
  }

  void Load(int expert, PlaneSet planes) {
    auto slot = cache_->Reserve(Id(expert), planes);
    ASSERT_TRUE(slot.has_value());
    const std::size_t bytes = (planes == PlaneSet::kAll ? 2 : 1) * kSlotBytes;
    std::memset(slot->data(), expert, bytes);
    const Pin pin = slot->Commit();
  }

  // 'w' whole, 'b' base, '-' gone; what is held is what was loaded.
  char Of(int expert) {
    if (!Holds(*cache_, expert)) return '-';
    const Pin pin = *cache_->Peek(Id(expert));
    if (pin.planes() == PlaneSet::kBase) return 'b';
    EXPECT_EQ(pin.data()[2 * kSlotBytes - 1], std::byte(expert));
    return 'w';
  }
  std::string All() {
    std::string all;
    for (int i = 0; i < 10; ++i) all += Of(i);
    return all;
  }

  std::unique_ptr<ExpertCache> cache_;
};

TEST_F(Narrowed, HighPlanesOfThePolicysChoiceGoFirst) {
  EXPECT_EQ(All(), "-bbwww----");
  EXPECT_EQ(cache_->stats().evictions, 1U);
  EXPECT_EQ(cache_->stats().demotions, 2U);
  EXPECT_EQ(cache_->slots(), 5U);
  EXPECT_EQ(cache_->wide_slots(), 3U);
  EXPECT_EQ(cache_->available(), 3U);
}

TEST_F(Narrowed, WhatComesWholeDemotesAndWhatComesAsBaseDoesNot) {
  Load(6, PlaneSet::kBase);  // in the place of 1
  EXPECT_EQ(All(), "--bwwwb---");
  Load(7, PlaneSet::kAll);  // in the place of 2, and 3 is narrowed for it
  EXPECT_EQ(All(), "---bwwbw--");
  EXPECT_EQ(cache_->stats().demotions, 3U);
}

TEST_F(Narrowed, AnUpgradeTakesTheResidualPlaceOfAnother) {
  const Pin pin = *cache_->Lookup(Id(1));
  std::byte* const slot = cache_->Extend(pin);
  ASSERT_NE(slot, nullptr);
  std::memset(slot + kSlotBytes, 1, kSlotBytes);
  cache_->MakeWhole(pin);
  EXPECT_EQ(All(), "-wbbww----");
}

TEST_F(Narrowed, ThePlaceOfAnUpgradeIsItsOwnWhileItIsPinned) {
  const Pin fourth = *cache_->Peek(Id(4));
  const Pin fifth = *cache_->Peek(Id(5));
  const Pin other = *cache_->Peek(Id(2));
  {
    const Pin pin = *cache_->Peek(Id(1));
    ASSERT_NE(cache_->Extend(pin), nullptr);
    EXPECT_EQ(cache_->Extend(other), nullptr);
  }
  EXPECT_NE(cache_->Extend(other), nullptr) << "the upgrade of 1 failed";
  EXPECT_EQ(All(), "-bbbww----");
}

TEST_F(Narrowed, NothingIsDemotedThatIsPinned) {
  Pin pin = *cache_->Peek(Id(3));
  const Pin second = *cache_->Peek(Id(4));
  const Pin third = *cache_->Peek(Id(5));
  EXPECT_EQ(cache_->available(), 0U);
  EXPECT_FALSE(cache_->Reserve(Id(8)).has_value());
  const Pin base = *cache_->Peek(Id(2));
  EXPECT_EQ(cache_->Extend(base), nullptr);
  pin = Pin();
  EXPECT_NE(cache_->Extend(base), nullptr);
  EXPECT_EQ(Of(3), 'b');
}

TEST_F(Narrowed, ALoanTakesWideSlotsAndGivesThemBack) {
  {
    const SlotLoan loan = cache_->Lend(2);
    std::memset(loan.memory().data(), 0x77, loan.memory().size());
    EXPECT_EQ(cache_->wide_slots(), 1U);
    EXPECT_EQ(All(), "---bbw----");
  }
  EXPECT_EQ(cache_->wide_slots(), 3U);
  Load(8, PlaneSet::kAll);
  Load(9, PlaneSet::kAll);
  EXPECT_EQ(All(), "---bbw--ww");
}

TEST_F(Narrowed, GrowsBackToWholeSlots) {
  cache_->Resize(6, 6);
  EXPECT_EQ(cache_->available(), 6U);
  for (int i = 6; i < 10; ++i) Load(i, PlaneSet::kAll);
  EXPECT_EQ(cache_->stats().demotions, 2U);
  EXPECT_EQ(All(), "----wwwwww");
}

TEST(ExpertCacheResizeTest, LoansAreOfTheSlotsInUse) {
  auto cache = MakeCache(8);
  for (int i = 0; i < 8; ++i) Load(*cache, i);
  cache->Resize(5);
  {
    const SlotLoan loan = cache->Lend(3);
    EXPECT_EQ(loan.memory().size(), 3 * kSlotBytes);
    std::memset(loan.memory().data(), 0x77, loan.memory().size());
    EXPECT_EQ(cache->slots(), 2U);
    EXPECT_EQ(cache->lent(), 3U);
    EXPECT_TRUE(Holds(*cache, 6));
    EXPECT_TRUE(Holds(*cache, 7));
  }
  EXPECT_EQ(cache->slots(), 5U);
  EXPECT_EQ(cache->lent(), 0U);
  for (const int i : {8, 9, 10}) Load(*cache, i);
  for (const int i : {6, 7, 8, 9, 10}) EXPECT_TRUE(Holds(*cache, i)) << i;
  EXPECT_EQ(cache->stats().evictions, 6U);
}

}  // namespace
}  // namespace sluice::cache
