// What the tests of ExpertCache fill and ask it with.
#ifndef SLUICE_TESTS_CACHE_CACHE_SUPPORT_H_
#define SLUICE_TESTS_CACHE_CACHE_SUPPORT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "cache/expert_cache.h"
#include "gtest/gtest.h"
#include "storage/aligned_buffer.h"

namespace sluice::cache {

inline constexpr std::size_t kSlotBytes = storage::kIoAlignment;

// Of 4 layers of 16 experts.
inline std::unique_ptr<ExpertCache> MakeCache(
    std::size_t slots, PolicyKind policy = PolicyKind::kLru) {
  auto cache = ExpertCache::Create({.slots = slots,
                                    .slot_bytes = kSlotBytes,
                                    .layers = 4,
                                    .experts = 16,
                                    .policy = policy,
                                    .huge_pages = false});
  EXPECT_TRUE(cache.has_value());
  return std::move(*cache);
}

inline ExpertId Id(int layer, int expert) {
  return {static_cast<std::uint16_t>(layer),
          static_cast<std::uint16_t>(expert)};
}

// Reserves, commits and unpins, with `value` everywhere.
inline void Load(ExpertCache& cache, ExpertId id, int value = 0) {
  auto reservation = cache.Reserve(id);
  ASSERT_TRUE(reservation.has_value());
  std::memset(reservation->data(), value, kSlotBytes);
  const Pin pin = reservation->Commit();
}

}  // namespace sluice::cache

#endif  // SLUICE_TESTS_CACHE_CACHE_SUPPORT_H_
