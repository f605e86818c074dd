// Gate: a memory budget that shrinks and grows in mid-run is kept from the next
// token on and cannot be seen in the results; one that is too small is refused,
// and the run goes on.

#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <thread>

#include "engine/memory_limits.h"
#include "engine/size_text.h"
#include "engine/sluice.h"
#include "tests/gates/gate_support.h"
#include "tests/support/shared_planes.h"

namespace sluice::gates {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kTokens = SLUICE_SANITIZED ? 48 : 240;
constexpr std::uint64_t kRoom = 40 << 20;  // for experts, above the floor

class MemoryBudgetGate : public ::testing::Test {
 protected:
  void Open(std::size_t chunk, std::uint64_t room = kRoom, float t1 = 1) {
    EngineOptions options;
    options.t1 = t1;
    options.force_streaming = true;
    options.prefill_chunk = chunk;
    options.context = 512;
    const auto plan = PlanModel(model_, options);
    ASSERT_TRUE(plan) << plan.error().message;
    floor_ = plan->floor_bytes;
    options.memory_bytes = floor_ + room;
    options.on_route = [this](const RoutedChunk& routed) {
      if (routed.layer == 0) chunks_.push_back(routed.tokens);
      if (routed.layer == 0) lent_.push_back(routed.slots_lent);
    };
    auto engine = Engine::Open(model_, options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    opened_ = engine_->plan().memory_bytes;
    session_ = *engine_->NewSession();
  }

  // The logits of the text; `visit(token)` after those of each are there.
  std::string Logits(const std::function<void(std::size_t)>& visit) {
    std::ifstream file(tokens_);
    const std::vector<TokenId> tokens(std::istream_iterator<TokenId>(file), {});
    std::string bytes;
    bytes.reserve(kTokens * 4096 * sizeof(float));
    kept_ = &bytes;
    const auto ran = session_->Evaluate(
        tokens, [&](std::size_t token, std::span<const float> logits) {
          bytes.append(reinterpret_cast<const char*>(logits.data()),
                       logits.size_bytes());
          visit(token);
          return true;
        });
    EXPECT_TRUE(ran) << ran.error().message;
    return bytes;
  }

  // The bytes of the process without what the test itself keeps, which the
  // plan could not know.
  std::uint64_t Used() const { return CurrentResidentBytes() - kept_->size(); }
  void ExpectUsed(const ::testing::Matcher<std::uint64_t>& bytes) const {
    if (SLUICE_SANITIZED) return;  // which keep what is freed
    EXPECT_THAT(Used(), bytes);
  }

  const TestFolder folder_;
  const std::string tokens_ = WriteHeldTokens(folder_, kTokens);
  std::string model_ = kStories;
  std::uint64_t floor_ = 0;
  std::uint64_t opened_ = 0;
  const std::string* kept_ = nullptr;
  std::vector<std::size_t> chunks_;  // tokens of each chunk computed
  std::vector<std::size_t> lent_;    // slots lent while it was
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
};

TEST_F(MemoryBudgetGate, HalvedAndGrownBackTokenByToken) {
  const LogitsRun reference = RunLogits(folder_, kStories, tokens_, {});
  Open(/*chunk=*/1);
  const std::size_t slots = engine_->mode().slots;
  const std::uint64_t small = floor_ + kRoom / 4;
  const auto set = [&](std::uint64_t bytes) {
    std::thread([&] { EXPECT_TRUE(engine_->SetMemoryBudget(bytes)); }).join();
  };
  std::uint64_t before = 0;
  const std::string bytes = Logits([&](std::size_t token) {
    const ModeReport& mode = engine_->mode();
    if (token == kTokens / 4) {
      before = Used();
      set(small);
      EXPECT_EQ(mode.slots, slots) << "not before the next token";
    }
    if (token > kTokens / 4 && token <= kTokens / 2) {
      EXPECT_EQ(mode.memory_bytes, small);
      EXPECT_LT(mode.slots, slots / 2);
      ExpectUsed(::testing::Le(small));
    }
    if (token == kTokens / 4 + 1) {
      EXPECT_EQ(engine_->counters().budget_changes, 1U);
      ExpectUsed(::testing::Lt(before - (8 << 20)));
    }
    if (token == kTokens / 2) set(opened_);
    if (token == kTokens - 1) ExpectUsed(::testing::Gt(small));
  });
  EXPECT_TRUE(bytes == reference.bytes);
  EXPECT_EQ(engine_->counters().budget_changes, 2U);
  EXPECT_EQ(engine_->mode().slots, slots);
  EXPECT_EQ(engine_->mode().memory_bytes, opened_);
  EXPECT_GT(engine_->counters().evictions, slots / 2);
}

// A prompt whose activations lie in slots ends its loan, and takes a smaller.
TEST_F(MemoryBudgetGate, HalvedBetweenTheChunksOfAPrompt) {
  if (SLUICE_SANITIZED) GTEST_SKIP() << "too few tokens for several chunks";
  const LogitsRun reference = RunLogits(folder_, kStories, tokens_, {});
  constexpr std::uint64_t kFew = 6 << 20;
  Open(/*chunk=*/0, kFew);
  const std::uint64_t small = floor_ + kFew / 2;
  const std::string bytes = Logits([&](std::size_t token) {
    if (token > 0) return;
    EXPECT_TRUE(engine_->SetMemoryBudget(small));
  });
  EXPECT_TRUE(bytes == reference.bytes);
  EXPECT_EQ(engine_->counters().budget_changes, 1U);
  EXPECT_EQ(engine_->mode().memory_bytes, small);
  ASSERT_GE(chunks_.size(), 3U) << "one chunk shows nothing";
  EXPECT_GT(lent_.front(), 0U);
  EXPECT_LT(lent_[1], lent_.front());
  EXPECT_LT(chunks_[1], chunks_.front());
}

TEST_F(MemoryBudgetGate, TooSmallIsRefusedAndTheRunGoesOn) {
  const LogitsRun reference = RunLogits(folder_, kStories, tokens_, {});
  Open(/*chunk=*/1);
  const std::string bytes = Logits([&](std::size_t token) {
    if (token != kTokens / 2) return;
    const auto small = engine_->SetMemoryBudget(1 << 20);
    ASSERT_FALSE(small);
    EXPECT_EQ(small.error().code, ErrorCode::kNoMemory);
    EXPECT_THAT(small.error().message, HasSubstr("give it at least"));
    const auto large = engine_->SetMemoryBudget(opened_ + 1);
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().code, ErrorCode::kInvalidArgument);
  });
  EXPECT_TRUE(bytes == reference.bytes);
  EXPECT_EQ(engine_->counters().budget_changes, 0U);
  EXPECT_EQ(engine_->mode().memory_bytes, opened_);
}

// The least budget that is accepted leaves one token's experts of a layer.
TEST_F(MemoryBudgetGate, ShrinksToTheFloor) {
  const LogitsRun reference = RunLogits(folder_, kStories, tokens_, {});
  Open(/*chunk=*/1);
  constexpr std::uint64_t kStep = 256 << 10;
  std::uint64_t least = opened_;
  const std::string bytes = Logits([&](std::size_t token) {
    if (token != kTokens / 4) return;
    while (engine_->SetMemoryBudget(least - kStep)) least -= kStep;
  });
  EXPECT_TRUE(bytes == reference.bytes);
  EXPECT_EQ(engine_->mode().memory_bytes, least);
  const PlanReport& plan = engine_->plan();
  const std::size_t used = plan.experts_per_token / plan.layers;
  EXPECT_GE(engine_->mode().slots, used);
  EXPECT_LE(engine_->mode().slots, used + kStep / plan.slot_bytes + 1);
}

// Where a base plane may do, high planes go before experts; where none may,
// they stay, and results do not change.
TEST_F(MemoryBudgetGate, HighPlanesGoFirstWherePrecisionIsByWeight) {
  model_ = testing_support::SharedPlanes(kStories);
  const LogitsRun reference = RunLogits(folder_, model_, tokens_, {});
  std::vector<std::size_t> slots;
  for (const float t1 : {1.0F, 0.5F}) {
    Open(/*chunk=*/1, 16 << 20, t1);
    const std::uint64_t small = floor_ + (8 << 20);
    Counters before;
    const std::string bytes = Logits([&](std::size_t token) {
      if (token > kTokens / 2) ExpectUsed(::testing::Le(small));
      if (token != kTokens / 2) return;
      before = engine_->counters();
      EXPECT_TRUE(engine_->SetMemoryBudget(small));
    });
    EXPECT_EQ(before.demotions, 0U);
    EXPECT_EQ(bytes == reference.bytes, t1 == 1);
    EXPECT_EQ(engine_->counters().budget_changes, 1U);
    EXPECT_EQ(engine_->counters().demotions > 0, t1 < 1);
    slots.push_back(engine_->mode().slots);
    session_.reset();
    engine_.reset();
  }
  EXPECT_GT(slots[1], slots[0]);
}

std::vector<std::string> Story(std::uint64_t memory, std::size_t tokens) {
  return {"run",         kStories,
          "-p",          "Once upon a time",
          "-n",          std::to_string(tokens),
          "--memory",    std::to_string(memory),
          "--ctx",       "1024",
          "--threads",   "1",
          "--ignore-eos"};
}

// The kernel would kill a process that had not given its memory back: the limit
// goes down behind it, while it runs.
TEST(MemorySignal, HalvesTheMemoryOfARun) {
  if (SLUICE_SANITIZED) GTEST_SKIP() << "sanitizers need more memory";
  const std::uint64_t memory = 52 << 20;
  const std::vector<std::string> run = Story(memory, 900);
  const auto undisturbed = RunSluice(run);
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.err;
  ASSERT_THAT(undisturbed.err, HasSubstr("mode: streaming"));
  SLUICE_MEMORY_CGROUP_OR_SKIP(cap, memory);
  tools::CommandOptions options;
  options.cgroup = cap.get();
  options.signal = {.number = SIGUSR1, .after_output_bytes = 800};
  auto running =
      std::async(std::launch::async, [&] { return RunSluice(run, options); });
  const auto over = [&] {
    return running.wait_for(std::chrono::milliseconds(1)) ==
           std::future_status::ready;
  };
  std::uint64_t most = 0;
  while (!over() && (most < memory * 3 / 5 || cap->current() > memory / 2)) {
    most = std::max(most, cap->current());
  }
  EXPECT_FALSE(over()) << "it was never below half";
  EXPECT_TRUE(cap->SetLimit(memory / 2));
  const auto halved = running.get();
  EXPECT_EQ(halved.exit_code, 0) << halved.err << " signal " << halved.signal;
  EXPECT_EQ(cap->oom_kills(), 0U);
  EXPECT_EQ(halved.out, undisturbed.out);
  EXPECT_THAT(halved.err, HasSubstr("memory: 26.0 MiB from the next token"));
}

TEST(MemorySignal, IsRefusedWhereNothingCanGo) {
  const auto memory = tools::RunSluiceJson(
                          {"plan", kStories, "--memory", "1G", "--ctx", "1024"})
                          .at("resident_mode_bytes")
                          .get<std::uint64_t>() +
                      (4 << 20);
  const std::vector<std::string> run = Story(memory, 200);
  const auto undisturbed = RunSluice(run);
  ASSERT_THAT(undisturbed.err, HasSubstr("mode: resident"));
  tools::CommandOptions options;
  options.signal = {.number = SIGUSR1, .after_output_bytes = 10};
  const auto refused = RunSluice(run, options);
  EXPECT_EQ(refused.exit_code, 0) << refused.err;
  EXPECT_EQ(refused.out, undisturbed.out);
  EXPECT_THAT(refused.err,
              HasSubstr("\nsluice run: " + kStories + ": cannot shrink to " +
                        FormatSize(memory / 2) + " of memory; "));
  EXPECT_THAT(refused.err, Not(HasSubstr("from the next token")));
}

}  // namespace
}  // namespace sluice::gates
