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

class Extended : public ::testing::Test {
 protected:
  Extended() {
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

TEST_F(Extended, KeepsWhatItHoldsAndBecomesWhole) {
  const Pin pin = *cache_->Lookup(kId);
  EXPECT_EQ(cache_->Extend(pin)[kSlotBytes - 1], std::byte{0x5a});
  EXPECT_EQ(cache_->Extend(pin), pin.data());
  cache_->MakeWhole(pin);
  EXPECT_EQ(pin.planes(), PlaneSet::kAll);
}

TEST_F(Extended, ItsBaseIsOfUseMeanwhileAndStays) {
  {
    const Pin pin = *cache_->Lookup(kId);
    cache_->Extend(pin);
    EXPECT_FALSE(cache_->Reserve(kOther));
    const std::optional<Pin> other = cache_->Lookup(kId);
    ASSERT_TRUE(other);
    EXPECT_TRUE(other->ready());
    EXPECT_EQ(other->planes(), PlaneSet::kBase);
  }
  ASSERT_TRUE(cache_->Contains(kId));
  EXPECT_EQ(cache_->Peek(kId)->planes(), PlaneSet::kBase);
  EXPECT_EQ(cache_->available(), 1u);
}

TEST_F(Extended, OtherPinsAreToTheWholeExpertAfterwards) {
  const Pin other = *cache_->Peek(kId);
  {
    const Pin pin = *cache_->Lookup(kId);
    ASSERT_NE(cache_->Extend(pin), nullptr);
    cache_->MakeWhole(pin);
  }
  EXPECT_TRUE(other.ready());
  EXPECT_EQ(other.planes(), PlaneSet::kAll);
}

TEST_F(Extended, TheNextExpertOfTheSlotIsWholeUnlessToldOtherwise) {
  auto slot = cache_->Reserve(kOther);
  ASSERT_TRUE(slot);
  const Pin pin = slot->Commit();
  EXPECT_EQ(pin.planes(), PlaneSet::kAll);
}

}  // namespace
}  // namespace sluice::cache
