// Gate: measuring what the machine allows, in mid-run too, gives rates and
// changes neither results nor, of memory alone, what is cached.

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"

namespace sluice::gates {
namespace {

constexpr std::size_t kTokens = 24;

class HardwareGate : public ::testing::Test {
 protected:
  void Open() {
    EngineOptions options;
    options.force_streaming = true;
    options.context = 64;
    options.predictor = "none";  // what is read would depend on the moment
    const auto plan = PlanModel(kStories, options);
    ASSERT_TRUE(plan) << plan.error().message;
    options.memory_bytes = plan->floor_bytes + (10 << 20);
    auto engine = Engine::Open(kStories, options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  // The logits of a text, `visit` after those of each token.
  std::string Logits(const std::function<void()>& visit) {
    std::ifstream file(tokens_);
    const std::vector<TokenId> tokens(std::istream_iterator<TokenId>(file), {});
    std::string bytes;
    const auto session = engine_->NewSession();
    EXPECT_TRUE(session);
    const auto ran = (*session)->Evaluate(
        tokens, [&](std::size_t, std::span<const float> logits) {
          bytes.append(reinterpret_cast<const char*>(logits.data()),
                       logits.size_bytes());
          visit();
          return true;
        });
    EXPECT_TRUE(ran) << ran.error().message;
    return bytes;
  }

  const TestFolder folder_;
  const std::string tokens_ = WriteHeldTokens(folder_, kTokens);
  std::unique_ptr<Engine> engine_;
};

TEST_F(HardwareGate, BriefMeasuringInMidRunLeavesNoTrace) {
  Open();
  const std::string usual = Logits([] {});
  std::size_t measured = 0;
  const std::string bytes = Logits([&] {
    const Counters before = engine_->counters();
    const BriefSpeeds speeds = engine_->MeasureBriefly();
    EXPECT_GT(speeds.dram_bytes_per_second, 0);
    EXPECT_GT(speeds.int8_macs_per_second, 0);
    const Counters after = engine_->counters();
    EXPECT_EQ(after.evictions, before.evictions);
    EXPECT_EQ(after.flash_bytes, before.flash_bytes);
    ++measured;
  });
  EXPECT_EQ(measured, kTokens);
  EXPECT_TRUE(bytes == usual);
  EXPECT_GT(engine_->counters().evictions, 0U) << "too small a test";
}

TEST_F(HardwareGate, AllRatesAreMeasuredBetweenRuns) {
  Open();
  const std::string usual = Logits([] {});
  const Counters before = engine_->counters();
  const auto report = engine_->MeasureHardware();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->dram_bytes_per_second, 0);
  EXPECT_GT(report->int8_macs_per_second, 0);
  EXPECT_GT(report->flash_bytes_per_second, 0);
  EXPECT_GT(report->dram_beside_flash_bytes_per_second, 0);
  EXPECT_GT(report->flash_beside_dram_bytes_per_second, 0);
  const Counters after = engine_->counters();
  EXPECT_EQ(after.flash_bytes, before.flash_bytes) << "not the model's reads";
  EXPECT_EQ(after.evictions, before.evictions);
  EXPECT_TRUE(Logits([] {}) == usual);
}

}  // namespace
}  // namespace sluice::gates
