// The pipeline on the trained model's experts: what it hands out are the file's
// bytes, whatever order reads complete in, and a failed read leaves nothing
// behind.
#include "engine/expert_pipeline.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/engine/pipeline_fixture.h"

namespace sluice {
namespace {

TEST_F(ExpertPipelineTest, HitsAreTheFirstWaveAndMissesFollow) {
  Start(16, {});
  ASSERT_TRUE(Run(0, {1, 2}));
  EXPECT_EQ(cache_->stats().hits, 0U);
  ASSERT_TRUE(Run(0, {3, 2, 4, 1}));
  EXPECT_EQ(cache_->stats().hits, 2U);
  EXPECT_EQ(cache_->stats().misses, 4U);
  EXPECT_GE(waves_, 1U);
  EXPECT_EQ(cache_->available(), 16U) << "a pin is left";
}

TEST_F(ExpertPipelineTest, FewSlotsServeManyExperts) {
  Start(3, {});
  std::vector<std::uint16_t> all(kExperts);
  std::iota(all.begin(), all.end(), 0);
  for (const std::uint16_t layer : {0, 7, 0}) ASSERT_TRUE(Run(layer, all));
  EXPECT_GE(waves_, kExperts / 3);
  EXPECT_GT(cache_->stats().evictions, 0U);
  EXPECT_EQ(cache_->available(), 3U);
}

TEST_F(ExpertPipelineTest, ReversedCompletionsGiveTheSameExperts) {
  Start(8, {.reverse = true});
  ASSERT_TRUE(Run(2, {5, 6, 7, 8, 9}));
  ASSERT_TRUE(Run(2, {9, 10, 5, 11}));
  EXPECT_EQ(cache_->stats().hits, 2U);
}

TEST_F(ExpertPipelineTest, WithoutOverlapAWaveIsEveryExpert) {
  Start(8, {.delay = std::chrono::milliseconds(5)}, /*overlap=*/false);
  ASSERT_TRUE(Run(1, {0, 1}));
  ASSERT_TRUE(Run(1, {0, 1, 2, 3}));
  EXPECT_EQ(waves_, 1U) << "hits did not wait for the misses";
  EXPECT_EQ(cache_->stats().hits, 2U);
}

TEST_F(ExpertPipelineTest, WithoutOverlapFewSlotsStillServeAll) {
  Start(2, {}, /*overlap=*/false);
  ASSERT_TRUE(Run(1, {0, 1, 2, 3, 4}));
  EXPECT_GT(waves_, 1U);
}

// A chunk asks for many experts, its last tokens for few: those stay.
TEST_F(ExpertPipelineTest, WhatAPromptsTailUsedStays) {
  policy_ = cache::PolicyKind::kLfru;
  Start(6, {});
  std::vector<std::uint16_t> experts = {0, 1, 2, 3, 4, 5};
  std::vector<std::uint16_t> routes = experts;  // six tokens of one expert
  for (int t = 0; t < 8; ++t) routes.insert(routes.end(), {0, 1});
  ASSERT_TRUE(pipeline_->Begin({.layer = 1,
                                .experts = experts,
                                .routes = routes,
                                .tokens = routes.size()}));
  while (true) {
    const auto wave = pipeline_->NextWave();
    ASSERT_TRUE(wave);
    if (wave->empty()) break;
  }
  ASSERT_TRUE(Run(2, {7, 8, 9, 10}));  // takes the slots of four
  EXPECT_TRUE(cache_->Contains({1, 0}));
  EXPECT_TRUE(cache_->Contains({1, 1}));
}

// Six tokens of one expert each: 9 and 4 twice, 2 and 30 once. One slot, so
// that each expert is a wave and the next is read when it has been given.
TEST_F(ExpertPipelineTest, MissesAreReadInTheOrderAskedFor) {
  const std::vector<std::uint16_t> named = {2, 9, 30, 4};
  const std::vector<std::uint16_t> routes = {2, 9, 30, 4, 4, 9};
  const auto given = [&](ReadOrder order, std::uint16_t layer) {
    pipeline_->UseOrder(order);
    std::vector<std::uint16_t> experts;
    EXPECT_TRUE(pipeline_->Begin({.layer = layer,
                                  .experts = named,
                                  .routes = routes,
                                  .tokens = routes.size()}));
    while (true) {
      const auto wave = pipeline_->NextWave();
      if (!wave || wave->empty()) break;
      EXPECT_EQ(wave->size(), 1U);
      experts.push_back(named[wave->front().index]);
    }
    return experts;
  };
  Start(1, {});
  using Ids = std::vector<std::uint16_t>;
  EXPECT_EQ(given(ReadOrder::kNamed, 0), named);
  EXPECT_EQ(pipeline_->reordered(), 0U);
  EXPECT_EQ(given(ReadOrder::kIndex, 1), (Ids{2, 4, 9, 30}));
  EXPECT_EQ(pipeline_->reordered(), 3U);
  EXPECT_EQ(given(ReadOrder::kHottest, 2), (Ids{9, 4, 2, 30}));
  EXPECT_EQ(given(ReadOrder::kPlanes, 3), (Ids{9, 4, 2, 30}));
}

TEST_F(ExpertPipelineTest, AFailedReadEndsTheLayerAndFreesItsSlots) {
  Start(8, {.fail_request = 4});
  const Result<void> ran = Run(1, {0, 1, 2, 3});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kIo);
  EXPECT_NE(ran.error().message.find("stories-q8_0.gguf"), std::string::npos)
      << ran.error().message;
  EXPECT_EQ(device_->in_flight(), 0U);
  EXPECT_EQ(cache_->available(), 8U);
  // The fault was one read's: the next layer works, with the right bytes.
  ASSERT_TRUE(Run(1, {0, 1, 2, 3}));
}

TEST_F(ExpertPipelineTest, AnAbandonedLayerLeavesNothingInFlight) {
  Start(8, {});
  const std::vector<std::uint16_t> experts = {0, 1, 2, 3, 4};
  ASSERT_TRUE(
      pipeline_->Begin({.layer = 3, .experts = experts, .routes = experts}));
  EXPECT_GT(device_->in_flight(), 0U);
  ASSERT_TRUE(Run(4, {6, 7}));
  EXPECT_EQ(device_->in_flight(), 0U);
  EXPECT_EQ(cache_->available(), 8U);
}

}  // namespace
}  // namespace sluice
