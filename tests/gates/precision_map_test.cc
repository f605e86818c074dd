// Gate: a precision map acts on the experts that it names and on no others, the
// same bits and bytes whether the model is resident or streams.

#include "engine/precision_map.h"

#include <gmock/gmock.h>

#include <functional>
#include <utility>

#include "engine/sluice.h"
#include "tests/gates/gate_support.h"
#include "tests/support/shared_planes.h"

namespace sluice::gates {
namespace {

using ::testing::HasSubstr;

// Bytes of a read: 768 superblocks, of 82 bytes or of 82 and 66, in pages.
constexpr std::uint64_t kBaseBytes = 65536;
constexpr std::uint64_t kFullBytes = kBaseBytes + 53248;

class PrecisionMapGate : public ::testing::Test {
 protected:
  PrecisionMapGate() {
    const auto container = storage::ContainerReader::Open(planes_);
    EXPECT_TRUE(container) << container.error().message;
    model_ = MapModelOf(*container);
    tokens_ = WriteHeldTokens(folder_, 60);
  }

  // A file that calls the experts low of which `low` is true.
  std::string WriteMap(const std::function<bool(ExpertId)>& low) {
    PrecisionMap map(model_);
    for (std::uint16_t layer = 0; layer < model_.layers; ++layer) {
      for (std::uint16_t expert = 0; expert < model_.experts; ++expert) {
        if (low({layer, expert})) map.SetLow({layer, expert});
      }
    }
    return folder_.Write("map", EncodePrecisionMap(map));
  }
  std::string WriteMixedMap() {
    return WriteMap(
        [](ExpertId id) { return (id.layer + id.expert) % 3 == 0; });
  }
  LogitsRun Run(const std::vector<std::string>& flags) {
    return RunLogits(folder_, planes_, tokens_, flags);
  }

  const TestFolder folder_;
  const std::string planes_ = testing_support::SharedPlanes(kStories);
  MapModel model_;
  std::string tokens_;
};

std::uint64_t Count(const LogitsRun& run, const char* name) {
  return run.report.at(name).get<std::uint64_t>();
}

TEST_F(PrecisionMapGate, WithNothingLowIsFullPrecision) {
  const std::string map = WriteMap([](ExpertId) { return false; });
  const LogitsRun expected = Run({});
  const LogitsRun run = Run({"--precision-map", map});
  EXPECT_TRUE(run.bytes == expected.bytes);
  ASSERT_TRUE(run.report.is_object());
  EXPECT_EQ(Count(run, "base_uses"), 0u);
  EXPECT_EQ(run.report.at("precision"), "by map");
  EXPECT_EQ(run.report.at("lossy"), false);
}

TEST_F(PrecisionMapGate, WithEverythingLowIsTheBase) {
  const std::string map = WriteMap([](ExpertId) { return true; });
  const LogitsRun expected =
      Run({"--precision", "base", "--stream", "--predictor", "none"});
  const LogitsRun run =
      Run({"--precision-map", map, "--stream", "--predictor", "none"});
  EXPECT_TRUE(run.bytes == expected.bytes);
  ASSERT_TRUE(run.report.is_object());
  EXPECT_EQ(Count(run, "base_uses"), 60u * 8 * 4);
  EXPECT_EQ(run.report.at("low_experts"), 256);
  EXPECT_EQ(run.report.at("lossy"), true);
  // As many bytes, slots and all.
  EXPECT_EQ(run.report.at("flash_bytes"), expected.report.at("flash_bytes"));
  EXPECT_EQ(run.report.at("slot_bytes"), expected.report.at("slot_bytes"));
}

TEST_F(PrecisionMapGate, MixedIsNeitherAndTheSameHoweverItIsRead) {
  const std::string map = WriteMixedMap();
  const LogitsRun full = Run({});
  const LogitsRun base = Run({"--precision", "base"});
  const LogitsRun mixed = Run({"--precision-map", map});
  ASSERT_TRUE(mixed.report.is_object());
  EXPECT_FALSE(mixed.bytes == full.bytes);
  EXPECT_FALSE(mixed.bytes == base.bytes);
  const std::uint64_t uses = Count(mixed, "base_uses");
  EXPECT_GT(uses, 0u);
  EXPECT_LT(uses, 60u * 8 * 4);
  for (const std::string chunk : {"1", "7", "60"}) {
    for (const std::string predictor : {"none", "next-layer"}) {
      const LogitsRun run =
          Run({"--precision-map", map, "--stream", "--chunk", chunk,
               "--predictor", predictor, "--prefetch", "always"});
      EXPECT_TRUE(run.bytes == mixed.bytes) << chunk << " " << predictor;
      ASSERT_TRUE(run.report.is_object());
      EXPECT_GT(Count(run, "expert_misses") + Count(run, "prefetch_issued"),
                0u);
      EXPECT_EQ(Count(run, "base_uses"), uses);
    }
  }
}

// With room for everything each expert is read once, a low one by its base.
TEST_F(PrecisionMapGate, OfLowExpertsTheBaseAloneIsRead) {
  for (const bool low : {true, false}) {
    // All of a token's experts of layer 3, and none else.
    const std::string map =
        WriteMap([&](ExpertId id) { return low && id.layer == 3; });
    const LogitsRun run = Run({"--precision-map", map, "--stream",
                               "--predictor", "none", "--chunk", "60"});
    ASSERT_TRUE(run.report.is_object());
    EXPECT_EQ(Count(run, "evictions"), 0u);
    const std::uint64_t misses = Count(run, "expert_misses");
    const std::uint64_t saved = misses * kFullBytes - Count(run, "flash_bytes");
    EXPECT_EQ(saved % (kFullBytes - kBaseBytes), 0u);
    const std::uint64_t bases = saved / (kFullBytes - kBaseBytes);
    EXPECT_EQ(Count(run, "base_uses"), low ? 60u * 4 : 0u);
    if (low) {
      EXPECT_GE(bases, 4u);   // a token's experts
      EXPECT_LE(bases, 32u);  // a layer's
    } else {
      EXPECT_EQ(bases, 0u);
    }
  }
}

// What either calls low is low, and no base is ever upgraded to what its map
// denies it.
TEST_F(PrecisionMapGate, WithT1TheLowerOfTheTwoCounts) {
  const std::vector<std::string> streamed = {"--stream", "--chunk", "1",
                                             "--predictor", "none"};
  const auto run = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), streamed.begin(), streamed.end());
    return Run(flags);
  };
  const std::string all = WriteMap([](ExpertId id) { return id.layer < 7; });
  const LogitsRun both = run({"--precision-map", all, "--t1", "0.5"});
  const LogitsRun map = run({"--precision-map", all});
  const LogitsRun weight = run({"--t1", "0.5"});
  ASSERT_TRUE(both.report.is_object());
  EXPECT_EQ(both.report.at("precision"), "by map and weight");
  EXPECT_EQ(Count(map, "base_uses"), 60u * 7 * 4);
  EXPECT_GT(Count(both, "base_uses"), Count(map, "base_uses"));
  EXPECT_LT(Count(both, "base_loads"), Count(weight, "base_loads"));
  EXPECT_LT(Count(both, "flash_bytes"), Count(map, "flash_bytes"));
}

// Map and rule at once, with room for everything: which experts are missing,
// and so what is computed, is the same on each backend.
TEST_F(PrecisionMapGate, WithTheRuleBackendsAgree) {
  const std::string map = WriteMixedMap();
  std::vector<LogitsRun> runs;
  for (const std::string device : {"uring", "pread"}) {
    runs.push_back(Run({"--precision-map", map, "--t1", "0.6", "--t2", "0.9",
                        "--stream", "--chunk", "1", "--predictor", "none",
                        "--no-probe", "--device", device}));
    ASSERT_TRUE(runs.back().report.is_object());
    EXPECT_EQ(Count(runs.back(), "evictions"), 0u);
  }
  EXPECT_TRUE(runs[0].bytes == runs[1].bytes);
  EXPECT_NE(runs[0].report.at("device"), runs[1].report.at("device"));
  for (const char* count : {"skips", "base_loads", "upgrades", "base_uses"}) {
    EXPECT_GT(Count(runs[0], count), 0u) << count;
    EXPECT_EQ(Count(runs[0], count), Count(runs[1], count)) << count;
  }
}

// Guesses beside them: what has arrived in time depends on the device, the sums
// of the counters do not.
TEST_F(PrecisionMapGate, WithTheRuleAndGuessesCountersAddUp) {
  const std::string map = WriteMixedMap();
  const std::string memory = std::to_string(tools::CeilingLike(22 << 20));
  for (const std::string device : {"uring", "pread"}) {
    const LogitsRun run =
        Run({"--precision-map", map, "--t1", "0.6", "--t2", "0.9", "--stream",
             "--memory", memory, "--chunk", "1", "--prefetch", "always",
             "--no-probe", "--device", device});
    ASSERT_TRUE(run.report.is_object());
    EXPECT_EQ(run.report.at("precision"), "by map and weight");
    EXPECT_EQ(run.report.at("lossy"), true);
    EXPECT_GT(Count(run, "skips"), 0u);
    EXPECT_GT(Count(run, "evictions"), 0u);
    EXPECT_GT(Count(run, "prefetch_bases"), 0u);
    EXPECT_LT(Count(run, "prefetch_bases"), Count(run, "prefetch_issued"));
    EXPECT_LE(Count(run, "prefetch_useful") + Count(run, "prefetch_wasted"),
              Count(run, "prefetch_issued"));
    EXPECT_EQ(Count(run, "expert_lookups"), 60u * 8 * 4);
    // What is neither was waited for: late guesses, and those that were let go
    // as wrong and were still being read when a later token wanted them.
    const auto known = Count(run, "expert_hits") + Count(run, "prefetch_late") +
                       Count(run, "expert_misses");
    EXPECT_LE(known, 60u * 8 * 4);
    EXPECT_GE(known, 60u * 8 * 4 - 30u) << "these are few";
    // A third of the experts is low whatever the rule says.
    EXPECT_GT(Count(run, "base_uses"), Count(run, "skips"));
    EXPECT_LT(Count(run, "base_uses") + Count(run, "skips"), 60u * 8 * 4);
  }
}

TEST_F(PrecisionMapGate, TheModeSaysWhatIsLost) {
  const auto run = [&](const std::string& model, const std::string& map,
                       const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = {
        "run", model, "-p", "Once", "-n", "1", "--precision-map", map};
    flags.insert(flags.end(), more.begin(), more.end());
    return RunSluice(flags);
  };
  const std::string mixed = WriteMixedMap();
  EXPECT_THAT(run(planes_, mixed).err, HasSubstr("low (lossy)"));
  const auto twice = run(planes_, mixed, {"--precision", "base"});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.err, HasSubstr("leave out the precision map"));
  const auto without = run(kStories, mixed);
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_THAT(without.err, HasSubstr("has no planes"));
  const auto missing = run(planes_, folder_.Path("none"));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr(folder_.Path("none")));
  model_.checksum ^= 1;
  const auto other = run(planes_, WriteMixedMap());
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("another model"));
  const auto bad = run(planes_, folder_.Write("bad", "sluice precision map 1"));
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("line 1"));
  for (const auto& failed : {twice, without, missing, other, bad}) {
    tools::ExpectOneLine(failed.err);
  }
}

// For each expert that misses: how many do depends on what the process itself
// takes of the memory, which differs from run to run.
TEST_F(PrecisionMapGate, ThePlanCountsWhatIsReadLess) {
  const auto bytes_of_all_missing = [&](const std::vector<std::string>& more) {
    std::vector<std::string> flags = {
        "plan", planes_, "--memory",
        std::to_string(tools::CeilingLike(32 << 20)), "--no-probe"};
    flags.insert(flags.end(), more.begin(), more.end());
    const auto plan = tools::RunSluiceJson(flags);
    EXPECT_EQ(plan.at("mode"), "streaming");
    const auto missing = 1 - plan.at("expected_hit_rate").get<double>();
    EXPECT_GT(missing, 0);
    return plan.at("expected_bytes_per_token").get<double>() / missing;
  };
  EXPECT_LT(bytes_of_all_missing({"--precision-map", WriteMixedMap()}),
            0.95 * bytes_of_all_missing({}));
}

}  // namespace
}  // namespace sluice::gates
