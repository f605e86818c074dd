// The forward pass by its parts: when experts are asked for, and that logits
// do not depend on where experts come from, how many slots there are, how many
// threads compute or how a prompt is cut.
#include "engine/transformer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/expert_cache.h"
#include "engine/expert_pipeline.h"
#include "engine/model_file.h"
#include "engine/resident_experts.h"
#include "storage/read_device.h"

namespace sluice {
namespace {

const std::string kQuants = SLUICE_SOURCE_DIR "/tests/data/quants/";
constexpr std::size_t kContext = 64;
constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

std::vector<TokenId> Tokens() {
  std::ifstream file(kQuants + "micro.tokens");
  return {std::istream_iterator<TokenId>(file), {}};
}

// Notes, each time that a layer's experts are asked for, for how many tokens
// and whether attention has written the layer's key of position 0, and hands
// on.
class WatchedSource final : public ExpertSource {
 public:
  WatchedSource(ExpertSource& source, KvCache& cache)
      : source_(source), cache_(cache) {}

  Result<void> Begin(const LayerRequest& request) override {
    const std::span key(cache_.keys(request.layer, 0), 16);
    attended_.push_back(
        std::ranges::any_of(key, [](auto k) { return k != std::byte{0}; }));
    tokens_.push_back(request.tokens);
    return source_.Begin(request);
  }
  Result<std::span<const ReadyExpert>> NextWave() override {
    return source_.NextWave();
  }
  const std::vector<bool>& attended() const { return attended_; }
  const std::vector<std::size_t>& tokens() const { return tokens_; }

 private:
  ExpertSource& source_;
  KvCache& cache_;
  std::vector<bool> attended_;
  std::vector<std::size_t> tokens_;
};

// Of the rows of all tokens, those of the last `outputs` of each chunk.
std::vector<float> LastOfEach(const std::vector<float>& rows,
                              std::size_t tokens, std::size_t chunk,
                              std::size_t outputs) {
  const std::size_t width = rows.size() / tokens;
  std::vector<float> last;
  for (std::size_t t = 0; t < tokens; ++t) {
    const std::size_t end = std::min(tokens, t / chunk * chunk + chunk);
    if (t + outputs < end) continue;
    const auto row = rows.begin() + static_cast<std::ptrdiff_t>(t * width);
    last.insert(last.end(), row, row + static_cast<std::ptrdiff_t>(width));
  }
  return last;
}

class TransformerTest : public ::testing::Test {
 protected:
  void Open(const std::string& name) {
    const std::string path = kQuants + name;
    auto model = ModelFile::Open(path);
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::make_unique<ModelFile>(std::move(*model));
    auto device = storage::OpenReadDevice({path}, {});
    ASSERT_TRUE(device) << device.error().message;
    device_ = std::move(*device);
    auto weights = Weights::Load(model_->gguf, model_->config, *device_, {});
    ASSERT_TRUE(weights) << weights.error().message;
    weights_ = std::make_unique<Weights>(std::move(*weights));
    auto experts = ResidentExperts::Load(model_->experts, *device_, {});
    ASSERT_TRUE(experts) << experts.error().message;
    resident_ = std::move(*experts);
    SetKv({.context = kContext, .chunk = kContext});
  }

  void SetKv(const KvShape& shape) {
    auto kv = KvCache::Create(model_->config, shape);
    ASSERT_TRUE(kv) << kv.error().message;
    kv_ = std::make_unique<KvCache>(std::move(*kv));
  }

  // The logits of all tokens, `chunk` tokens at a time; of each chunk's last
  // `outputs` alone, if there are more.
  std::vector<float> Run(ExpertSource& source, std::size_t chunk,
                         unsigned threads, std::size_t outputs = kAll) {
    const std::vector<TokenId>& tokens = tokens_;
    ThreadPool pool(threads);
    PhaseClock clock;
    const Compute compute{
        *kernels::AvailableTables(kernels::DetectCpuFeatures()).front(), pool,
        clock};
    auto work = Workspace::Create(model_->config, chunk);
    EXPECT_TRUE(work);
    Transformer transformer(compute, model_->config, *weights_, source, *work);
    std::vector<float> logits;
    for (std::size_t at = 0; at < tokens.size(); at += chunk) {
      const std::size_t count = std::min(chunk, tokens.size() - at);
      const Chunk piece = {
          .position = at, .tokens = count, .outputs = std::min(outputs, count)};
      const auto ran = transformer.Forward(std::span(tokens).subspan(at, count),
                                           piece, *kv_, {});
      EXPECT_TRUE(ran) << ran.error().message;
      for (std::size_t t = 0; ran && t < piece.outputs; ++t) {
        const auto row = transformer.Logits(t, 1);
        logits.insert(logits.end(), row.begin(), row.end());
      }
    }
    return logits;
  }

  // The same, streamed through a cache of `slots` slots.
  std::vector<float> Stream(std::size_t slots, std::size_t chunk,
                            unsigned threads) {
    auto cache =
        cache::ExpertCache::Create({.slots = slots,
                                    .slot_bytes = model_->experts.slot_bytes(),
                                    .layers = model_->config.layers,
                                    .experts = model_->config.experts,
                                    .policy = cache::PolicyKind::kLru});
    EXPECT_TRUE(cache) << cache.error().message;
    ExpertPipeline pipeline(model_->experts, *device_, **cache);
    std::vector<float> logits = Run(pipeline, chunk, threads);
    stats_ = (*cache)->stats();
    EXPECT_EQ((*cache)->available(), slots) << "a pin is left";
    return logits;
  }

  std::vector<TokenId> tokens_ = Tokens();
  std::unique_ptr<ModelFile> model_;
  std::unique_ptr<storage::ReadDevice> device_;
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<ResidentExperts> resident_;
  std::unique_ptr<KvCache> kv_;
  cache::CacheStats stats_;
};

TEST_F(TransformerTest, ARouterOfTheLayerInputStartsReadsBeforeAttention) {
  Open("smallthinker-Q4_0.gguf");
  WatchedSource source(*resident_, *kv_);
  Run(source, 48, 1);
  EXPECT_EQ(source.attended(), std::vector<bool>(5, false));
}

TEST_F(TransformerTest, ARouterOfTheNormedStreamWaitsForAttention) {
  Open("micro-Q4_0.gguf");
  WatchedSource source(*resident_, *kv_);
  Run(source, 48, 1);
  EXPECT_EQ(source.attended(), std::vector<bool>(2, true));
}

TEST_F(TransformerTest, SlotsChunksAndThreadsDoNotShowInTheLogits) {
  for (const std::string name :
       {"smallthinker-Q4_0.gguf", "smallthinker-F16.gguf", "micro-Q4_0.gguf"}) {
    SCOPED_TRACE(name);
    Open(name);
    const std::vector<float> resident = Run(*resident_, 48, 1);
    ASSERT_EQ(tokens_.size(), 48U);
    ASSERT_EQ(resident.size(), 48U * model_->config.vocabulary);
    for (const unsigned threads : {1U, 2U}) {
      for (const std::size_t chunk : {1U, 7U, 48U}) {
        EXPECT_TRUE(Run(*resident_, chunk, threads) == resident)
            << chunk << " tokens a chunk, " << threads << " threads";
        for (const std::size_t slots : {2U, 3U, 6U}) {
          EXPECT_TRUE(Stream(slots, chunk, threads) == resident)
              << slots << " slots, " << chunk << " tokens a chunk, " << threads
              << " threads";
          EXPECT_GT(stats_.misses, 0U);
          EXPECT_GT(stats_.evictions, 0U);
        }
      }
    }
  }
}

TEST_F(TransformerTest, OutputsNeedNoMoreOfTheLastLayer) {
  for (const std::string name :
       {"smallthinker-Q4_0.gguf", "smallthinker-F16.gguf", "micro-Q4_0.gguf"}) {
    SCOPED_TRACE(name);
    Open(name);
    const std::vector<float> all = Run(*resident_, 48, 1);
    for (const std::size_t chunk : {1U, 7U, 48U}) {
      for (const std::size_t outputs : {0U, 1U, 3U, 7U}) {
        SCOPED_TRACE(outputs);
        SetKv({.context = kContext, .chunk = kContext});
        WatchedSource source(*resident_, *kv_);
        EXPECT_TRUE(Run(source, chunk, 2, outputs) ==
                    LastOfEach(all, tokens_.size(), chunk, outputs))
            << chunk << " tokens a chunk";
        const std::size_t layers = model_->config.layers;
        std::vector<std::size_t> asked(layers, chunk);
        asked.back() = std::min<std::size_t>(outputs, chunk);
        if (outputs == 0) asked.pop_back();
        ASSERT_GE(source.tokens().size(), asked.size());
        EXPECT_TRUE(std::ranges::equal(
            asked, std::span(source.tokens()).first(asked.size())));
        EXPECT_EQ(source.tokens().size() % asked.size(), 0U);
      }
    }
  }
}

TEST_F(TransformerTest, RingsOfKvDoNotShowInTheLogits) {
  Open("smallthinker-Q4_0.gguf");
  constexpr std::size_t kMany = 300;
  tokens_.resize(kMany);
  for (std::size_t i = 0; i < kMany; ++i) {
    tokens_[i] = static_cast<TokenId>(i * i * 37 % 511);
  }
  const auto least_rows = [&] {
    std::size_t least = kMany;
    for (std::size_t layer = 0; layer < model_->config.layers; ++layer) {
      least = std::min(least, kv_->rows(layer));
    }
    return least;
  };
  SetKv({.context = kMany, .chunk = kMany});
  ASSERT_EQ(least_rows(), kMany) << "no ring";
  const std::vector<float> whole = Run(*resident_, 100, 2);
  for (const std::size_t chunk : {1, 57, 64, 65, 300}) {
    SetKv({.context = kMany});
    ASSERT_EQ(least_rows(), 128U) << "a ring, which wraps twice";
    EXPECT_TRUE(Run(*resident_, chunk, 2) == whole) << chunk;
  }
}

}  // namespace
}  // namespace sluice
