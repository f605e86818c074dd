#include "engine/prompt_room.h"

#include <cstddef>

#include "engine/workspace.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class PromptRoomTest : public ::testing::Test {
 protected:
  PromptRoomTest() {
    config_.layers = 4;
    config_.embedding = 256;
    config_.heads = 4;
    config_.kv_heads = 2;
    config_.head_dim = 64;
    config_.vocabulary = 1000;
    config_.experts = 32;
    config_.experts_used = 4;
    config_.expert_ff = 128;
    limits_ = {.standing_chunk = 16, .slots = 100, .slot_bytes = 1 << 20};
  }

  PromptRoom Room(std::size_t tokens) const {
    return RoomForPrompt(config_, limits_, tokens);
  }

  ModelConfig config_;
  PromptRoomLimits limits_;
};

TEST_F(PromptRoomTest, ShortPromptsBorrowNothing) {
  EXPECT_EQ(Room(1).chunk, 1U);
  EXPECT_EQ(Room(16).chunk, 16U);
  EXPECT_EQ(Room(16).lent_slots, 0U);
}

TEST_F(PromptRoomTest, APromptIsOneChunkWhereItFits) {
  for (const std::size_t tokens : {17, 100, 500}) {
    const PromptRoom room = Room(tokens);
    EXPECT_EQ(room.chunk, tokens);
    const std::size_t bytes = Workspace::Bytes(config_, tokens);
    EXPECT_GE(room.lent_slots * limits_.slot_bytes, bytes);
    EXPECT_LT((room.lent_slots - 1) * limits_.slot_bytes, bytes);
    EXPECT_LE(room.lent_slots, 50U);
  }
}

TEST_F(PromptRoomTest, LongPromptsTakeTheFewestEqualChunks) {
  const std::size_t tokens = 20'000;
  const PromptRoom room = Room(tokens);
  EXPECT_LE(room.lent_slots, 50U);
  const std::size_t chunks = (tokens + room.chunk - 1) / room.chunk;
  EXPECT_GT(chunks, 1U);
  EXPECT_LT(chunks * room.chunk - tokens, chunks);
  // One chunk fewer would not fit.
  const std::size_t longer = (tokens + chunks - 2) / (chunks - 1);
  EXPECT_GT(Workspace::Bytes(config_, longer), 50 * limits_.slot_bytes);
}

TEST_F(PromptRoomTest, ATokensExpertsStay) {
  limits_.slots = 5;
  EXPECT_LE(Room(500).lent_slots, 1U);
  limits_.slots = 4;
  EXPECT_EQ(Room(500).lent_slots, 0U);
  EXPECT_EQ(Room(500).chunk, 16U);
  limits_.slots = 0;  // nothing streams
  EXPECT_EQ(Room(500).chunk, 16U);
}

TEST_F(PromptRoomTest, ALoanIsNotWorthLessThanWhatStands) {
  limits_.slots = 10;
  limits_.slot_bytes = Workspace::Bytes(config_, 3);
  EXPECT_EQ(Room(500).chunk, 16U);
  EXPECT_EQ(Room(500).lent_slots, 0U);
}

}  // namespace
}  // namespace sluice
