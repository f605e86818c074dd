// A pipeline on the trained model's experts, on a device that can fail, whose
// every expert is compared with the file.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TESTS_ENGINE_PIPELINE_FIXTURE_H_
#define SLUICE_TESTS_ENGINE_PIPELINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/expert_pipeline.h"
#include "storage/fault_device.h"

namespace sluice {

inline constexpr const char* kModel =
    SLUICE_SOURCE_DIR "/models/stories-q8_0.gguf";
inline constexpr std::uint32_t kLayers = 8;
inline constexpr std::uint32_t kExperts = 32;

class ExpertPipelineTest : public ::testing::Test {
 protected:
  void Start(std::size_t slots, const storage::FaultOptions& faults,
             bool overlap = true) {
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
    auto cache = cache::ExpertCache::Create({.slots = slots,
                                             .slot_bytes = store_->slot_bytes(),
                                             .layers = kLayers,
                                             .experts = kExperts,
                                             .policy = policy_});
    ASSERT_TRUE(cache) << cache.error().message;
    cache_ = std::move(*cache);
    pipeline_ =
        std::make_unique<ExpertPipeline>(*store_, *device_, *cache_, overlap);
  }

  // Runs a layer; checks each expert's gate matrix against the file. Between
  // its request and its waves the source is told of the layer `ahead`, if any.
  Result<void> Run(std::uint16_t layer, std::vector<std::uint16_t> experts,
                   std::optional<std::uint16_t> ahead = {}) {
    SLUICE_TRY(pipeline_->Begin(
        {.layer = layer, .experts = experts, .routes = experts}));
    if (ahead) Foresee(*ahead, *ahead - layer);
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

  void Foresee(std::uint16_t layer, int distance) {
    pipeline_->Foresee({.layer = layer,
                        .distance = static_cast<std::size_t>(distance),
                        .scores = {}});
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

  cache::PolicyKind policy_ = cache::PolicyKind::kLru;
  std::vector<std::uint64_t> gates_;  // file offsets of expert 0
  std::unique_ptr<storage::ExpertStore> store_;
  std::unique_ptr<storage::ReadDevice> device_;
  std::unique_ptr<cache::ExpertCache> cache_;
  std::unique_ptr<ExpertPipeline> pipeline_;
  std::size_t waves_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_ENGINE_PIPELINE_FIXTURE_H_
