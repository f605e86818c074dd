#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice {
namespace {

// Layers 0 and 2 see everything, 1 and 3 the last 100 positions.
ModelConfig Windowed() {
  ModelConfig config;
  config.layers = 4;
  config.kv_heads = 2;
  config.heads = 4;
  config.head_dim = 32;
  config.window = 100;
  config.global_period = 2;
  return config;
}
constexpr std::size_t kRow = 32 * 2;

TEST(KvCacheTest, WindowedLayersHoldTheWindowAndAChunkInWholeBlocks) {
  const ModelConfig config = Windowed();
  const auto bytes = [&](std::size_t context, std::size_t chunk) {
    return KvCache::Bytes(config, {.context = context, .chunk = chunk});
  };
  constexpr std::size_t kHeads = 2 * 2;  // of keys and of values
  EXPECT_EQ(bytes(1000, 29), kHeads * (2 * 1008 + 2 * 128) * kRow);
  EXPECT_EQ(bytes(1008, 30), kHeads * (2 * 1008 + 2 * 192) * kRow);
  EXPECT_EQ(bytes(112, 29), kHeads * 4 * 112 * kRow);
  EXPECT_EQ(bytes(113, 29), kHeads * 4 * 128 * kRow);
  ModelConfig all = config;
  all.window = 0;
  EXPECT_EQ(KvCache::Bytes(all, {.context = 1000, .chunk = 29}),
            kHeads * 4 * 1008 * kRow);
}

TEST(KvCacheTest, RowsOfHeadsAndLayersDoNotOverlap) {
  auto cache = KvCache::Create(Windowed(), {.context = 300, .chunk = 29});
  ASSERT_TRUE(cache) << cache.error().message;
  EXPECT_EQ(cache->rows(0), 304U);
  EXPECT_EQ(cache->rows(1), 128U);
  int mark = 0;
  const auto each = [&](auto visit) {
    mark = 0;
    for (std::size_t layer = 0; layer < 4; ++layer) {
      for (std::size_t head = 0; head < 2; ++head) {
        for (std::byte* rows :
             {cache->keys(layer, head), cache->values(layer, head)}) {
          visit(rows, cache->rows(layer) * cache->row_bytes(), ++mark);
        }
      }
    }
  };
  each([](std::byte* rows, std::size_t bytes, int value) {
    std::memset(rows, value, bytes);
  });
  each([](const std::byte* rows, std::size_t bytes, int value) {
    EXPECT_EQ(rows[0], std::byte(value));
    EXPECT_EQ(rows[bytes - 1], std::byte(value));
  });
}

TEST(KvCacheTest, HoldsAPositionUntilARowOfItsWindowIsTaken) {
  const auto cache = KvCache::Create(Windowed(), {.context = 300, .chunk = 29});
  ASSERT_TRUE(cache);
  EXPECT_TRUE(cache->Holds(0, 128));
  EXPECT_TRUE(cache->Holds(99, 128));
  EXPECT_FALSE(cache->Holds(99, 129));  // sees position 0, whose row is 128's
  EXPECT_TRUE(cache->Holds(100, 129));
  EXPECT_TRUE(cache->Holds(200, 229));
  EXPECT_FALSE(cache->Holds(200, 230));
}

}  // namespace
}  // namespace sluice
