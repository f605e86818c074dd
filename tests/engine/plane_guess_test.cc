// Guesses of nested weights: each is read at the precision that its guessed
// rank gives it, and what it lacks when the router has spoken is read then.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/expert_pipeline.h"
#include "storage/container_reader.h"
#include "storage/fault_device.h"
#include "tests/support/shared_planes.h"

namespace sluice {
namespace {

constexpr const char* kModel = SLUICE_SOURCE_DIR "/models/stories-q8_0.gguf";
constexpr std::size_t kLayers = 8;
constexpr std::size_t kExperts = 32;
constexpr std::size_t kUsed = 2;

// Guesses the two best by the scores that it is shown.
class TwoBest final : public Predictor {
 public:
  std::string_view name() const override { return "two-best"; }
  void BeginSequence() override {}
  bool WantsScores(std::size_t distance) const override {
    return distance == 1;
  }
  void ObserveScores(std::uint16_t, std::size_t,
                     std::span<const float> scores) override {
    guesses_.clear();
    for (std::uint16_t e = 0; e < scores.size(); ++e) {
      if (scores[e] > 0) guesses_.push_back({e, scores[e]});
    }
  }
  void Observe(std::uint16_t, std::span<const std::uint16_t>) override {}
  void Predict(std::uint16_t, std::vector<Guess>& guesses) override {
    guesses = guesses_;
  }

 private:
  std::vector<Guess> guesses_;
};

class PlaneGuess : public ::testing::Test {
 protected:
  void Start(double t1, const storage::FaultOptions& faults = {},
             double t2 = 1) {
    const auto container = storage::ContainerReader::Open(path_);
    ASSERT_TRUE(container) << container.error().message;
    auto store = storage::ExpertStore::FromContainer(*container);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::make_unique<storage::ExpertStore>(std::move(*store));
    auto device =
        storage::OpenReadDevice({path_}, {.kind = storage::DeviceKind::kPread});
    ASSERT_TRUE(device) << device.error().message;
    device_ = storage::MakeFaultDevice(std::move(*device), faults);
    cache_ = *cache::ExpertCache::Create(
        {.slots = 16,
         .slot_bytes = store_->slot_bytes(),
         .base_bytes = BytesOf(storage::PlaneSet::kBase),
         .layers = kLayers,
         .experts = kExperts});
    pipeline_ = std::make_unique<ExpertPipeline>(*store_, *device_, *cache_);
    pipeline_->UseRule(PrecisionRule(t1, t2));
    pipeline_->StartPrefetch(
        {.experts_used = kUsed,
         .bytes_per_expert = BytesOf(storage::PlaneSet::kAll),
         .bytes_per_base = BytesOf(storage::PlaneSet::kBase),
         .always = true},
        predictor_);
  }

  std::uint64_t BytesOf(storage::PlaneSet planes) const {
    return store_->read_bytes(planes) / (kLayers * kExperts);
  }

  // Runs a layer for a token whose weights are `weights`; the layer after it is
  // foreseen to want `guessed`, with three quarters and one quarter.
  // Returns which of the experts had both planes.
  std::vector<bool> Run(std::uint16_t layer,
                        const std::vector<std::uint16_t>& experts,
                        const std::vector<std::uint16_t>& guessed = {}) {
    const std::vector<float> weights = {0.75F, 0.25F};
    std::vector<bool> whole(experts.size());
    EXPECT_TRUE(pipeline_->Begin({.layer = layer,
                                  .experts = experts,
                                  .routes = experts,
                                  .weights = weights}));
    if (!guessed.empty()) {
      std::vector<float> scores(kExperts);
      scores[guessed[0]] = 0.75F;
      scores[guessed[1]] = 0.25F;
      pipeline_->Foresee(
          {.layer = static_cast<std::uint16_t>(layer + 1), .scores = scores});
    }
    while (true) {
      const auto wave = pipeline_->NextWave();
      EXPECT_TRUE(wave) << wave.error().message;
      if (!wave || wave->empty()) return whole;
      for (const ReadyExpert& expert : *wave) {
        whole[expert.index] = expert.weights.gate.has_residual();
      }
    }
  }

  // Lets reads land, without asking for any.
  void Settle() {
    for (int i = 0; i < 2000 && device_->in_flight() > 0; ++i) {
      ASSERT_TRUE(pipeline_->Advance());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_EQ(device_->in_flight(), 0U);
  }

  using Whole = std::vector<bool>;
  const std::string path_ = testing_support::SharedPlanes(kModel);
  TwoBest predictor_;
  std::unique_ptr<storage::ExpertStore> store_;
  std::unique_ptr<storage::ReadDevice> device_;
  std::unique_ptr<cache::ExpertCache> cache_;
  std::unique_ptr<ExpertPipeline> pipeline_;
};

TEST_F(PlaneGuess, OfLowRankBringsTheBaseAlone) {
  Start(0.5);
  EXPECT_EQ(Run(0, {1, 2}, {3, 4}), (Whole{true, false}));
  Settle();
  const std::uint64_t bytes = device_->stats().bytes;
  EXPECT_EQ(bytes, 2 * BytesOf(storage::PlaneSet::kAll) +
                       2 * BytesOf(storage::PlaneSet::kBase));
  EXPECT_EQ(Run(1, {3, 4}), (Whole{true, false}));
  EXPECT_EQ(device_->stats().bytes, bytes);
  const PrefetchStats stats = pipeline_->prefetch_stats();
  EXPECT_EQ(stats.issued, 2U);
  EXPECT_EQ(stats.bases, 1U);
  EXPECT_EQ(stats.useful, 2U);
  EXPECT_EQ(stats.useful_bytes, bytes / 2);
}

TEST_F(PlaneGuess, AtT1OfOneIsWhole) {
  Start(1);
  EXPECT_EQ(Run(0, {1, 2}, {3, 4}), (Whole{true, true}));
  Settle();
  EXPECT_EQ(Run(1, {4, 3}), (Whole{true, true}));
  EXPECT_EQ(pipeline_->prefetch_stats().bases, 0U);
  EXPECT_EQ(pipeline_->upgrades(), 0U);
}

TEST_F(PlaneGuess, WhatItLacksIsReadWhenTheRouterWantsItWhole) {
  Start(0.5);
  Run(0, {1, 2}, {3, 4});
  Settle();
  const std::uint64_t bytes = device_->stats().bytes;
  EXPECT_EQ(Run(1, {4, 3}), (Whole{true, true})) << "4 was guessed as base";
  EXPECT_EQ(pipeline_->upgrades(), 1U);
  EXPECT_EQ(device_->stats().bytes - bytes,
            BytesOf(storage::PlaneSet::kResidual));
  EXPECT_EQ(
      BytesOf(storage::PlaneSet::kResidual),
      BytesOf(storage::PlaneSet::kAll) - BytesOf(storage::PlaneSet::kBase));
}

TEST_F(PlaneGuess, BeyondT2NothingIsReadOrGiven) {
  Start(0.5, {}, /*t2=*/0.5);
  EXPECT_EQ(Run(0, {1, 2}, {3, 4}), (Whole{true, false}));
  Settle();
  EXPECT_EQ(pipeline_->skips(), 1U);
  EXPECT_FALSE(cache_->Contains({0, 2}));
  EXPECT_TRUE(cache_->Contains({1, 3}));
  EXPECT_FALSE(cache_->Contains({1, 4}));
  EXPECT_EQ(device_->stats().bytes, 2 * BytesOf(storage::PlaneSet::kAll));
  // What is there is used, however low it ranks.
  EXPECT_EQ(Run(1, {4, 3}), (Whole{true, true}));
  EXPECT_EQ(pipeline_->skips(), 1U);
}

TEST_F(PlaneGuess, ALateBaseIsWaitedForAndUpgraded) {
  Start(0.5, {.delay = std::chrono::milliseconds(30)});
  Run(0, {1, 2});
  Run(0, {1, 2}, {3, 4});  // all hits: it waits for nothing
  EXPECT_EQ(Run(1, {4, 5}), (Whole{true, false}));
  EXPECT_EQ(pipeline_->prefetch_stats().late, 1U);
  EXPECT_EQ(pipeline_->upgrades(), 1U);
  pipeline_->Drain();
  EXPECT_EQ(cache_->available(), 16U) << "a pin is left";
}

TEST_F(PlaneGuess, AnUpgradeWaitsUntilItsSlotMayHoldBothPlanes) {
  Start(0.5);
  Run(0, {5, 1});
  Run(0, {5, 3});
  cache_->Resize(/*slots=*/16, /*wide=*/1);
  const std::vector<std::uint16_t> experts = {1, 3};
  const std::vector<std::uint16_t> routes = {1, 3, 3, 1};
  const std::vector<float> weights = {0.75F, 0.25F, 0.75F, 0.25F};
  ASSERT_TRUE(pipeline_->Begin({.layer = 0,
                                .experts = experts,
                                .routes = routes,
                                .weights = weights,
                                .tokens = 2}));
  for (int wave = 0; wave < 2; ++wave) {
    const auto ready = pipeline_->NextWave();
    ASSERT_TRUE(ready) << ready.error().message;
    ASSERT_EQ(ready->size(), 1U);
    EXPECT_TRUE((*ready)[0].weights.gate.has_residual());
  }
  EXPECT_TRUE(pipeline_->NextWave()->empty());
  EXPECT_EQ(pipeline_->upgrades(), 2U);
  EXPECT_EQ(cache_->stats().demotions, 2U);
}

}  // namespace
}  // namespace sluice
