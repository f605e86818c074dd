#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "cache/expert_cache.h"
#include "gtest/gtest.h"
#include "storage/aligned_buffer.h"

namespace sluice::cache {
namespace {

constexpr std::size_t kSlotBytes = storage::kIoAlignment;

std::unique_ptr<ExpertCache> MakeCache(std::size_t slots) {
  auto cache = ExpertCache::Create({.slots = slots,
                                    .slot_bytes = kSlotBytes,
                                    .layers = 1,
                                    .experts = 16,
                                    .policy = PolicyKind::kLru,
                                    .huge_pages = false});
  EXPECT_TRUE(cache.has_value());
  return std::move(*cache);
}

ExpertId Id(int expert) { return {0, static_cast<std::uint16_t>(expert)}; }

// Fills the slot with the expert's number.
void Load(ExpertCache& cache, int expert) {
  auto reservation = cache.Reserve(Id(expert));
  ASSERT_TRUE(reservation.has_value());
  std::memset(reservation->data(), expert, kSlotBytes);
  const Pin pin = reservation->Commit();
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
