// Gate: what a run records with --trace, replayed with the same slots and
// policy, gives exactly the hits, misses and evictions of the run.

#include "engine/replay_api.h"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"
#include "tests/support/shared_planes.h"

namespace sluice::gates {
namespace {

constexpr std::size_t kTokens = 200;
constexpr std::size_t kChunk = 16;
// Slots that leave a layer's experts their own when half of them are lent.
constexpr std::size_t kRoomToLend = 80;
constexpr Policy kPolicies[] = {Policy::kLru, Policy::kLfu, Policy::kLfru,
                                Policy::kHobbit, Policy::kLearned};

struct Counted {
  std::uint64_t lookups = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;
  bool operator==(const Counted&) const = default;

  friend std::ostream& operator<<(std::ostream& out, const Counted& c) {
    return out << c.lookups << " lookups, " << c.hits << " hits, " << c.misses
               << " misses, " << c.evictions << " evictions";
  }
};

Counted Of(const Counters& counters) {
  return {counters.expert_lookups, counters.expert_hits, counters.expert_misses,
          counters.evictions};
}

Counted Of(const ReplayCounts& counts) {
  return {counts.lookups, counts.hits, counts.misses, counts.evictions};
}

Counted operator+(const Counted& a, const Counted& b) {
  return {a.lookups + b.lookups, a.hits + b.hits, a.misses + b.misses,
          a.evictions + b.evictions};
}

class ReplayGate : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(WriteHeldTokens(folder_, kTokens));
    tokens_ = {std::istream_iterator<TokenId>(file), {}};
    ASSERT_EQ(tokens_.size(), kTokens);
  }

  // A model streaming through a little more room than one layer's experts, so
  // that a chunk never asks for more than there is; its trace goes to trace_.
  void Open(Policy policy) { Open(policy, kChunk, 48); }
  // With `spare` slots beyond the floor's.
  void Open(Policy policy, std::size_t prefill_chunk, std::size_t spare) {
    session_.reset();
    engine_.reset();
    trace_.clear();
    most_lent_ = 0;
    EngineOptions options;
    options.force_streaming = true;
    options.prefill_chunk = prefill_chunk;
    options.context = kTokens;
    options.policy = policy;
    options.predictor = "none";
    options.t1 = t1_;
    options.t2 = t2_;
    options.on_route = [this](const RoutedChunk& chunk) {
      trace_ += TraceRows(chunk);
      most_lent_ = std::max(most_lent_, chunk.slots_lent);
    };
    const auto floor = PlanModel(model_, options);
    ASSERT_TRUE(floor) << floor.error().message;
    options.memory_bytes = floor->floor_bytes + spare * floor->slot_bytes;
    auto engine = Engine::Open(model_, options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = *std::move(engine);
    ASSERT_GE(engine_->mode().slots, 32U);
    ASSERT_LE(engine_->mode().slots, spare + 16);
    auto session = engine_->NewSession();
    ASSERT_TRUE(session) << session.error().message;
    session_ = *std::move(session);
    const PlanReport& plan = engine_->plan();
    trace_ = TraceHeader({.layers = static_cast<std::uint32_t>(plan.layers),
                          .experts = static_cast<std::uint32_t>(
                              plan.experts_total / plan.layers),
                          .expert_bytes = plan.slot_bytes});
  }

  GenerateResult Generate(std::size_t first, std::size_t count) {
    GenerateRequest request;
    request.prompt = {
        tokens_.begin() + static_cast<std::ptrdiff_t>(first),
        tokens_.begin() + static_cast<std::ptrdiff_t>(first + count)};
    request.max_tokens = 40;
    request.sampler.temperature = 0;
    request.ignore_eos = true;
    auto result = session_->Generate(request);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *std::move(result) : GenerateResult();
  }

  ReplayReport Replay(Policy policy) const {
    const auto trace = ParseTrace(trace_, "live");
    EXPECT_TRUE(trace) << trace.error().message;
    if (!trace) return {};
    const auto report = ReplayTrace(*trace, {.slots = engine_->mode().slots,
                                             .policy = policy,
                                             .t1 = t1_,
                                             .t2 = t2_});
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : ReplayReport();
  }

  TestFolder folder_;
  std::string model_ = kStories;
  float t1_ = 1;
  float t2_ = 1;
  std::vector<TokenId> tokens_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
  std::string trace_;
  std::size_t most_lent_ = 0;
};

TEST_F(ReplayGate, PromptInChunksThenDecoding) {
  std::vector<std::uint64_t> hits;
  for (const Policy policy : kPolicies) {
    Open(policy);
    if (HasFatalFailure()) return;
    const GenerateResult live = Generate(0, 100);
    const ReplayReport replay = Replay(policy);
    EXPECT_EQ(replay.policy, engine_->mode().policy);
    EXPECT_EQ(replay.oversized_visits, 0U);
    EXPECT_EQ(replay.prompt.tokens, 100U);
    EXPECT_EQ(replay.decode.tokens, 39U);
    EXPECT_EQ(Of(replay.prompt), Of(live.prefill)) << replay.policy;
    EXPECT_EQ(Of(replay.decode), Of(live.decode)) << replay.policy;
    EXPECT_GT(replay.decode.hits, 0U);
    EXPECT_GT(replay.decode.evictions, 0U);
    hits.push_back(replay.decode.hits);
  }
  // The policies did choose differently.
  EXPECT_NE(hits[0], hits[1]);
  EXPECT_NE(hits[1], hits[2]);
  EXPECT_NE(hits[2], hits[3]);
}

// Which planes are read, and what is left out, comes from the trace's weights.
TEST_F(ReplayGate, PrecisionByWeight) {
  model_ = testing_support::SharedPlanes(kStories);
  t1_ = 0.55F;
  t2_ = 0.85F;
  std::vector<std::uint64_t> hits;
  for (const Policy policy : {Policy::kHobbit, Policy::kHobbitPrecision}) {
    // A sanitizer keeps what is freed, so the process grows.
    Open(policy, kChunk, SLUICE_SANITIZED ? 96 : 48);
    if (HasFatalFailure()) return;
    Generate(0, 100);
    const ReplayReport replay = Replay(policy);
    const Counters live = engine_->counters();
    EXPECT_EQ(replay.policy, engine_->mode().policy);
    EXPECT_EQ(Of(replay.prompt) + Of(replay.decode), Of(live));
    EXPECT_EQ(replay.prompt.bases + replay.decode.bases, live.base_loads);
    EXPECT_EQ(replay.prompt.upgrades + replay.decode.upgrades, live.upgrades);
    EXPECT_EQ(replay.prompt.skips + replay.decode.skips, live.skips);
    EXPECT_GT(replay.decode.bases, 0U);
    EXPECT_GT(replay.decode.upgrades, 0U);
    EXPECT_GT(replay.decode.skips, 0U);
    hits.push_back(replay.decode.hits);
  }
  EXPECT_NE(hits[0], hits[1]) << "the policies did choose differently";
}

TEST_F(ReplayGate, TextsAfterEachOther) {
  for (const Policy policy : kPolicies) {
    Open(policy);
    if (HasFatalFailure()) return;
    Generate(0, 20);
    Generate(20, 30);  // goes on in the same context
    session_->Reset();
    Generate(50, 40);
    session_->Reset();
    const auto ran = session_->Evaluate(
        std::span(tokens_).first(50),
        [](std::size_t, std::span<const float>) { return true; });
    ASSERT_TRUE(ran) << ran.error().message;
    const ReplayReport replay = Replay(policy);
    EXPECT_EQ(replay.oversized_visits, 0U);
    EXPECT_EQ(Of(replay.prompt) + Of(replay.decode), Of(engine_->counters()))
        << replay.policy;
  }
}

TEST_F(ReplayGate, PromptsThatBorrowSlots) {
  std::vector<std::vector<TokenId>> texts;
  for (const Policy policy : {Policy::kLru, Policy::kHobbit}) {
    Open(policy, /*prefill_chunk=*/0, kRoomToLend);
    if (HasFatalFailure()) return;
    ASSERT_LT(engine_->plan().standing_chunk, engine_->plan().prefill_chunk);
    texts.push_back(Generate(0, 120).tokens);
    EXPECT_GT(most_lent_, 0U);
    EXPECT_GE(engine_->mode().slots, most_lent_ + 32);
    Generate(120, 30);  // goes on in the same context
    const ReplayReport replay = Replay(policy);
    EXPECT_EQ(replay.oversized_visits, 0U);
    EXPECT_EQ(Of(replay.prompt) + Of(replay.decode), Of(engine_->counters()))
        << replay.policy;
    EXPECT_GT(replay.prompt.evictions, 0U);
  }
  Open(Policy::kLfru);  // in standing chunks
  if (HasFatalFailure()) return;
  texts.push_back(Generate(0, 120).tokens);
  EXPECT_EQ(most_lent_, 0U);
  for (const auto& text : texts) EXPECT_EQ(text, texts.back());
}

TEST_F(ReplayGate, ACancelledPromptGivesItsSlotsBack) {
  Open(Policy::kLfru, /*prefill_chunk=*/0, kRoomToLend);
  if (HasFatalFailure()) return;
  const std::vector<TokenId> text = Generate(0, 120).tokens;
  session_->Reset();
  GenerateRequest request;
  request.prompt = {tokens_.begin(), tokens_.begin() + 120};
  int calls = 0;
  request.on_prefill = [&](std::size_t, std::size_t) { return ++calls < 3; };
  most_lent_ = 0;
  const auto cancelled = session_->Generate(request);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  EXPECT_GT(most_lent_, 0U);
  EXPECT_EQ(session_->position(), 0U);
  EXPECT_EQ(Generate(0, 120).tokens, text);
}

TEST_F(ReplayGate, TheCommandsAgree) {
  if (SLUICE_SANITIZED) GTEST_SKIP() << "sanitizers need more memory";
  const std::string trace = folder_.Path("trace.csv");
  for (const std::string policy : {"lfru", "hobbit", "learned"}) {
    const nlohmann::json run = tools::RunSluiceJson(
        {"run", kStories, "-p",
         "Once upon a time there was a little dog. He had a red ball and a big "
         "blue hat, and every morning he ran down to the river to play.",
         "-n", "40", "--ignore-eos", "--memory", "40M", "--policy", policy,
         "--predictor", "none", "--trace", trace});
    EXPECT_EQ(run.at("mode"), "streaming");
    const nlohmann::json replay =
        tools::RunSluiceJson({"replay", trace, "--policy", policy, "--slots",
                              std::to_string(run.at("slots").get<int>())})
            .at("replays")
            .at(0);
    EXPECT_EQ(replay.at("policy"), policy);
    EXPECT_EQ(replay.at("oversized_visits"), 0);
    EXPECT_EQ(replay.at("prompt").at("hit_rate"), run.at("prefill_hit_rate"));
    EXPECT_EQ(replay.at("decode").at("hit_rate"), run.at("hit_rate"));
    EXPECT_GT(replay.at("decode").at("evictions"), 0);
  }
}

}  // namespace
}  // namespace sluice::gates
