// The pipeline on the trained model's experts: what it hands out are the file's
// bytes, whatever order reads complete in, and a failed read leaves nothing
// behind.
#include "engine/expert_pipeline.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <set>

#include "storage/fault_device.h"

namespace sluice {
namespace {

constexpr const char* kModel = SLUICE_SOURCE_DIR "/models/stories-q8_0.gguf";
constexpr std::uint32_t kLayers = 8;
constexpr std::uint32_t kExperts = 32;

class ExpertPipelineTest : public ::testing::Test {
 protected:
  void Start(std::size_t slots, const storage::FaultOptions& faults) {
    auto gguf = storage::GgufFile::Open(kModel);
    ASSERT_TRUE(gguf) << gguf.error().message;
    auto store = storage::ExpertStore::FromGguf(*gguf, kLayers, kExperts);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::make_unique<storage::ExpertStore>(std::move(*store));
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
      gates_.push_back(gguf->FindTensor("blk." + std::to_string(layer) +
                                        ".ffn_gate_exps.weight")
                           ->offset);
    }
    auto device = storage::OpenReadDevice(
        {kModel}, {.kind = storage::DeviceKind::kPread});
    ASSERT_TRUE(device) << device.error().message;
    device_ = storage::MakeFaultDevice(std::move(*device), faults);
    auto cache =
        cache::ExpertCache::Create({.slots = slots,
                                    .slot_bytes = store_->slot_bytes(),
                                    .layers = kLayers,
                                    .experts = kExperts,
                                    .policy = cache::PolicyKind::kLru});
    ASSERT_TRUE(cache) << cache.error().message;
    cache_ = std::move(*cache);
    pipeline_ = std::make_unique<ExpertPipeline>(*store_, *device_, *cache_);
  }

  // Runs a layer; checks each expert's gate matrix against the file.
  Result<void> Run(std::uint16_t layer, std::vector<std::uint16_t> experts) {
    SLUICE_TRY(pipeline_->Begin(layer, experts));
    std::set<std::uint32_t> given;
    waves_ = 0;
    while (true) {
      SLUICE_ASSIGN(const auto wave, pipeline_->NextWave());
      if (wave.empty()) break;
      ++waves_;
      for (const ReadyExpert& expert : wave) {
        EXPECT_TRUE(given.insert(expert.index).second) << "given twice";
        ExpectGate(layer, experts[expert.index], expert.weights.gate);
      }
    }
    EXPECT_EQ(given.size(), experts.size());
    return {};
  }

  void ExpectGate(std::uint16_t layer, std::uint16_t expert,
                  const storage::MatrixView& gate) {
    std::ifstream file(kModel, std::ios::binary);
    std::vector<char> bytes(gate.bytes());
    file.seekg(
        static_cast<std::streamoff>(gates_[layer] + expert * gate.bytes()));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file);
    EXPECT_EQ(std::memcmp(bytes.data(), gate.data, bytes.size()), 0)
        << "layer " << layer << " expert " << expert;
  }

  std::vector<std::uint64_t> gates_;  // file offsets of expert 0
  std::unique_ptr<storage::ExpertStore> store_;
  std::unique_ptr<storage::ReadDevice> device_;
  std::unique_ptr<cache::ExpertCache> cache_;
  std::unique_ptr<ExpertPipeline> pipeline_;
  std::size_t waves_ = 0;
};

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
  ASSERT_TRUE(pipeline_->Begin(3, experts));
  EXPECT_GT(device_->in_flight(), 0U);
  ASSERT_TRUE(Run(4, {6, 7}));
  EXPECT_EQ(device_->in_flight(), 0U);
  EXPECT_EQ(cache_->available(), 8U);
}

}  // namespace
}  // namespace sluice
