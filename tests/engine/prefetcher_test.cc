// Guesses on the trained model's experts: they change what is read when, and
// never what is given.
#include "engine/prefetcher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/engine/pipeline_fixture.h"

namespace sluice {
namespace {

constexpr std::size_t kUsed = 2;

// Guesses what a test tells it to.
class ScriptedPredictor final : public Predictor {
 public:
  std::string_view name() const override { return "scripted"; }
  void BeginSequence() override {}
  void Observe(std::uint16_t, std::span<const std::uint16_t>) override {}
  void Predict(std::uint16_t, std::vector<Guess>& guesses) override {
    guesses.clear();
    for (const std::uint16_t expert : experts) {
      guesses.push_back({.expert = expert, .confidence = 0.5F});
    }
  }

  std::vector<std::uint16_t> experts;
};

class PrefetcherTest : public ExpertPipelineTest {
 protected:
  void StartGuessing(std::size_t slots, const storage::FaultOptions& faults) {
    Start(slots, faults);
    pipeline_->StartPrefetch({.experts_used = kUsed,
                              .bytes_per_expert = store_->expert_bytes(0),
                              .always = true},
                             predictor_);
  }

  // Lets reads land, without asking for any.
  void Settle() {
    for (int i = 0; i < 2000 && device_->in_flight() > 0; ++i) {
      ASSERT_TRUE(pipeline_->Advance());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_EQ(device_->in_flight(), 0U);
  }

  PrefetchStats stats() const { return pipeline_->prefetch_stats(); }

  ScriptedPredictor predictor_;
};

TEST_F(PrefetcherTest, ARightGuessIsAHit) {
  StartGuessing(8, {});
  predictor_.experts = {3, 4};
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/1));
  Settle();
  ASSERT_TRUE(Run(1, {3, 4}));
  EXPECT_EQ(cache_->stats().hits, 2U);
  EXPECT_EQ(cache_->stats().misses, 2U);
  EXPECT_EQ(stats().issued, 2U);
  EXPECT_EQ(stats().useful, 2U);
  EXPECT_EQ(stats().useful_bytes, 2 * store_->expert_bytes(1));
  EXPECT_EQ(cache_->available(), 8U) << "a pin is left";
}

TEST_F(PrefetcherTest, AGuessTwoLayersAheadIsAHitThere) {
  StartGuessing(8, {});
  predictor_.experts = {3, 4};
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/2));
  Settle();
  ASSERT_TRUE(Run(1, {5, 6}));
  EXPECT_EQ(stats().useful + stats().wasted, 0U) << "not its layer";
  ASSERT_TRUE(Run(2, {3, 7}));
  EXPECT_EQ(stats().issued, 2U);
  EXPECT_EQ(stats().useful, 1U);
  EXPECT_EQ(stats().wasted, 1U);
  EXPECT_EQ(cache_->stats().hits, 1U);
  EXPECT_EQ(cache_->available(), 8U) << "a pin is left";
}

TEST_F(PrefetcherTest, ANearerLookAddsToWhatTheFartherOneBegan) {
  StartGuessing(12, {});
  predictor_.experts = {3};
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/2));
  Settle();
  predictor_.experts = {3, 4};
  ASSERT_TRUE(Run(1, {5, 6}, /*ahead=*/2));
  Settle();
  EXPECT_EQ(stats().issued, 2U) << "the first one is there";
  ASSERT_TRUE(Run(2, {3, 4}));
  EXPECT_EQ(stats().useful, 2U);
  EXPECT_EQ(cache_->available(), 12U);
}

TEST_F(PrefetcherTest, TheNearerLayerIsReadFirst) {
  StartGuessing(2 * kUsed + 2, {});  // room for two guesses
  ASSERT_TRUE(Run(0, {1, 2}));
  predictor_.experts = {5, 6, 7, 8};
  Foresee(1, 1);
  predictor_.experts = {3, 4};
  Foresee(2, 2);
  ASSERT_TRUE(pipeline_->Advance());
  Settle();
  EXPECT_TRUE(cache_->Contains({1, 5}));
  EXPECT_FALSE(cache_->Contains({2, 3}));
}

TEST_F(PrefetcherTest, NoGuessIsReadWhileADemandIs) {
  StartGuessing(8, {.delay = std::chrono::milliseconds(100)});
  const std::vector<std::uint16_t> experts = {1, 2};
  ASSERT_TRUE(
      pipeline_->Begin({.layer = 0, .experts = experts, .routes = experts}));
  predictor_.experts = {3};
  Foresee(1, 1);
  ASSERT_TRUE(pipeline_->Advance());
  EXPECT_EQ(stats().issued, 0U);
  std::size_t given = 0;
  while (given < experts.size()) {
    const auto wave = pipeline_->NextWave();
    ASSERT_TRUE(wave);
    given += wave->size();
    EXPECT_EQ(stats().issued, given == experts.size() ? 1U : 0U);
  }
  ASSERT_TRUE(Run(1, {3}));
  EXPECT_EQ(cache_->stats().joins, 1U);
}

TEST_F(PrefetcherTest, ALateGuessIsWaitedFor) {
  StartGuessing(8, {.delay = std::chrono::milliseconds(30)});
  ASSERT_TRUE(Run(0, {1, 2}));
  predictor_.experts = {3};
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/1)) << "all hits: it waits for nothing";
  ASSERT_TRUE(Run(1, {3, 5}));
  EXPECT_EQ(cache_->stats().joins, 1U);
  EXPECT_EQ(stats().late, 1U);
  EXPECT_EQ(stats().useful, 0U);
  EXPECT_EQ(cache_->available(), 8U);
}

TEST_F(PrefetcherTest, AWrongGuessIsLetGo) {
  StartGuessing(8, {});
  predictor_.experts = {3, 4};
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/1));
  ASSERT_TRUE(Run(1, {5, 6}));
  EXPECT_EQ(stats().issued, 2U);
  EXPECT_EQ(stats().wasted, 2U);
  pipeline_->Drain();
  EXPECT_EQ(device_->in_flight(), 0U);
  EXPECT_EQ(cache_->available(), 8U);
}

TEST_F(PrefetcherTest, AWrongGuessThatIsWantedSoonAfterIsReadAnew) {
  StartGuessing(8, {.delay = std::chrono::milliseconds(20)});
  for (int round = 0; round < 10; ++round) {
    predictor_.experts = {3, 4};
    ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/1));
    ASSERT_TRUE(Run(1, {5, 6}));  // cancels them
    ASSERT_TRUE(Run(1, {3, 4}));  // while they may be in flight
  }
  EXPECT_EQ(cache_->available(), 8U);
}

TEST_F(PrefetcherTest, AGuessThatCannotBeReadIsDemandsToReport) {
  StartGuessing(8, {.fail_request = 6});  // two misses of three reads, then it
  predictor_.experts = {3};
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/1));
  Settle();
  ASSERT_TRUE(Run(1, {3, 4})) << "only the first read of it fails";
  EXPECT_EQ(stats().issued, 1U);
  EXPECT_EQ(stats().useful, 0U);
  EXPECT_EQ(cache_->stats().aborts, 1U);
  EXPECT_EQ(cache_->available(), 8U);
}

TEST_F(PrefetcherTest, GuessesLeaveTheSlotsThatDemandNeeds) {
  StartGuessing(2 * kUsed + 1, {});
  predictor_.experts = {3, 4, 5, 6};
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/1));
  EXPECT_GT(stats().issued, 0U);
  EXPECT_LE(stats().issued, kUsed + 1);
  ASSERT_TRUE(Run(1, {7, 8}));
  ASSERT_TRUE(Run(2, {1, 2}));
}

TEST_F(PrefetcherTest, AGuessDoesNotEvictAnotherGuess) {
  StartGuessing(8, {});
  ASSERT_TRUE(Run(1, {3, 4}));
  ASSERT_TRUE(Run(2, {9, 10}));
  ASSERT_TRUE(Run(3, {11, 12}));
  predictor_.experts = {5, 3, 4};
  // Plain recency would evict layer 1's experts for the fifth.
  ASSERT_TRUE(Run(0, {1, 2}, /*ahead=*/1));
  Settle();
  ASSERT_TRUE(Run(1, {3, 4, 5}));
  EXPECT_EQ(cache_->stats().hits, 3U);
  EXPECT_EQ(stats().useful, 1U);
}

}  // namespace
}  // namespace sluice
