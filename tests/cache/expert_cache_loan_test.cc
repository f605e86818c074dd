#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "cache/expert_cache.h"
#include "gtest/gtest.h"
#include "tests/cache/cache_support.h"

namespace sluice::cache {
namespace {

TEST(ExpertCacheLoanTest, LoansTakeFreeSlotsFirst) {
  auto cache = MakeCache(6);
  for (int i = 0; i < 3; ++i) Load(*cache, Id(0, i));
  {
    const SlotLoan loan = cache->Lend(3);
    EXPECT_EQ(loan.memory().size(), 3 * kSlotBytes);
    std::memset(loan.memory().data(), 0x77, loan.memory().size());
    EXPECT_EQ(cache->slots(), 3U);
    EXPECT_EQ(cache->available(), 3U);
    EXPECT_EQ(cache->stats().evictions, 0U);
    Load(*cache, Id(1, 0));
    EXPECT_EQ(cache->stats().evictions, 1U);
    EXPECT_FALSE(cache->Contains(Id(0, 0)));
  }
  EXPECT_EQ(cache->slots(), 6U);
  EXPECT_EQ(cache->available(), 6U);
  for (int i = 1; i < 4; ++i) Load(*cache, Id(1, i));
  EXPECT_EQ(cache->stats().evictions, 1U);
}

TEST(ExpertCacheLoanTest, WhatALoanKeepsIsThePolicysChoiceAndWhole) {
  auto cache = MakeCache(6);
  for (int i = 0; i < 6; ++i) Load(*cache, Id(0, i), i);
  // The least recent are in the last slots.
  for (const int i : {5, 4, 3, 0, 1, 2}) cache->Lookup(Id(0, i));
  for (const int i : {1, 0}) cache->Lookup(Id(0, i));
  const SlotLoan loan = cache->Lend(4);
  std::memset(loan.memory().data(), 0x77, loan.memory().size());
  EXPECT_EQ(cache->stats().evictions, 4U);
  EXPECT_EQ(cache->stats().demotions, 0U) << "all that stays is whole";
  for (const int kept : {0, 1}) {
    const auto pin = cache->Peek(Id(0, kept));
    ASSERT_TRUE(pin.has_value() && pin->ready());
    for (std::size_t b = 0; b < kSlotBytes; ++b) {
      ASSERT_EQ(pin->data()[b], std::byte(kept));
    }
  }
  for (const int gone : {2, 3, 4, 5})
    EXPECT_FALSE(cache->Contains(Id(0, gone)));
}

TEST(ExpertCacheLoanTest, LoansMoveExpertsOutOfTheWay) {
  auto cache = MakeCache(4);
  for (int i = 0; i < 4; ++i) Load(*cache, Id(2, i), 0x10 + i);
  SlotLoan loan = cache->Lend(2);  // 0 and 1 go, 2 and 3 take their slots
  std::memset(loan.memory().data(), 0x77, loan.memory().size());
  for (const int kept : {2, 3}) {
    const auto pin = cache->Lookup(Id(2, kept));
    ASSERT_TRUE(pin.has_value() && pin->ready());
    EXPECT_EQ(pin->data()[0], std::byte(0x10 + kept));
    EXPECT_EQ(pin->data()[kSlotBytes - 1], std::byte(0x10 + kept));
  }
  loan = SlotLoan();  // ends it
  EXPECT_EQ(cache->slots(), 4U);
  loan = cache->Lend(0);
  EXPECT_TRUE(loan.memory().empty());
  EXPECT_EQ(cache->stats().evictions, 2U);
}

}  // namespace
}  // namespace sluice::cache
