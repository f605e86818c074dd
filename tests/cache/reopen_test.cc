// Slots that hold a part of an expert's planes, and get the rest later.
#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "cache/expert_cache.h"

namespace sluice::cache {
namespace {

using storage::PlaneSet;

constexpr std::size_t kSlotBytes = 8192;
constexpr ExpertId kId = {1, 2};
constexpr ExpertId kOther = {0, 5};

class Reopened : public ::testing::Test {
 protected:
  Reopened() {
    cache_ = *ExpertCache::Create({.slots = 1,
                                   .slot_bytes = kSlotBytes,
                                   .layers = 4,
                                   .experts = 8,
                                   .huge_pages = false});
    auto slot = cache_->Reserve(kId, PlaneSet::kBase);
    std::memset(slot->data(), 0x5a, kSlotBytes);
    const Pin pin = slot->Commit();
    EXPECT_EQ(pin.planes(), PlaneSet::kBase);
  }
  std::unique_ptr<ExpertCache> cache_;
};

TEST_F(Reopened, KeepsWhatItHoldsAndBecomesWhole) {
  Reservation again = cache_->Reopen(*cache_->Lookup(kId));
  EXPECT_EQ(again.id(), kId);
  EXPECT_EQ(again.data()[kSlotBytes - 1], std::byte{0x5a});
  EXPECT_FALSE(cache_->Peek(kId)->ready());
  EXPECT_FALSE(cache_->Reserve(kOther));  // it may not go meanwhile
  const Pin pin = again.Commit();
  EXPECT_EQ(pin.planes(), PlaneSet::kAll);
  EXPECT_EQ(cache_->available(), 0u);
}

TEST_F(Reopened, IsFreeAgainWhenTheRestFails) {
  {
    const Reservation again = cache_->Reopen(*cache_->Lookup(kId));
  }
  EXPECT_FALSE(cache_->Contains(kId));
  EXPECT_EQ(cache_->available(), 1u);
  EXPECT_TRUE(cache_->Reserve(kOther));
}

TEST_F(Reopened, OtherPinsWaitForTheRest) {
  const Pin other = *cache_->Peek(kId);
  Reservation again = cache_->Reopen(*cache_->Lookup(kId));
  EXPECT_FALSE(other.ready());
  const Pin pin = again.Commit();
  EXPECT_TRUE(other.ready());
  EXPECT_EQ(other.planes(), PlaneSet::kAll);
}

TEST_F(Reopened, TheNextExpertOfTheSlotIsWholeUnlessToldOtherwise) {
  auto slot = cache_->Reserve(kOther);
  ASSERT_TRUE(slot);
  const Pin pin = slot->Commit();
  EXPECT_EQ(pin.planes(), PlaneSet::kAll);
}

}  // namespace
}  // namespace sluice::cache
