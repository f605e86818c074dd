// `sluice replay`: a routing trace through the cache's policies, without a
// model.
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/predictor_replay.h"
#include "engine/replay_api.h"
#include "engine/size_text.h"
#include "tools/commands.h"
#include "tools/engine_flags.h"
#include "tools/files.h"
#include "tools/flag_values.h"
#include "tools/predictor_table.h"
#include "tools/report.h"
#include "tools/table.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    "TRACE is what run, bench and eval write with --trace. belady is what a "
    "cache\n"
    "would hit that knew the future: no policy can do better.\n"
    "\n"
    "Examples:\n"
    "  sluice replay trace.csv\n"
    "  sluice replay trace.csv --predictor all\n"
    "  sluice replay trace.csv --policy lfru --memory 2G --json";

constexpr const char* kCache = "Cache";
constexpr float kDefaultShares[] = {5, 10, 25, 50};  // %

struct ReplayFlags {
  std::string trace;
  std::optional<Policy> policy;  // none: all
  std::optional<std::size_t> slots;
  float share = 0;  // %; 0: not given
  std::optional<std::uint64_t> memory;
  std::optional<std::string> predictor;
  float t1 = 1;
  float t2 = 1;
  bool json = false;
};

std::size_t ExpertsOf(const RoutingShape& shape) {
  return std::size_t{shape.layers} * shape.experts;
}

std::size_t SlotsOfShare(const RoutingShape& shape, float percent) {
  return static_cast<std::size_t>(static_cast<double>(ExpertsOf(shape)) *
                                  percent / 100);
}

// The cache sizes to replay: the one asked for, else the usual shares that hold
// at least one token's experts of a layer.
Result<std::vector<std::size_t>> SizesOf(const ReplayFlags& flags,
                                         const RoutingTrace& trace) {
  if ((flags.slots ? 1 : 0) + (flags.share > 0 ? 1 : 0) +
          (flags.memory ? 1 : 0) >
      1) {
    return Fail(ErrorCode::kInvalidArgument,
                "give only one of --slots, --share and --memory");
  }
  if (flags.slots) return std::vector{*flags.slots};
  if (flags.share > 0)
    return std::vector{SlotsOfShare(trace.shape, flags.share)};
  if (flags.memory) {
    return std::vector<std::size_t>{*flags.memory / trace.shape.expert_bytes};
  }
  std::vector<std::size_t> sizes;
  for (const float share : kDefaultShares) {
    const std::size_t slots = SlotsOfShare(trace.shape, share);
    if (slots >= trace.used) sizes.push_back(slots);
  }
  if (sizes.empty()) sizes.push_back(ExpertsOf(trace.shape));
  return sizes;
}

struct Replayed {
  std::size_t slots = 0;
  ReplayReport report;
};

Result<std::vector<Replayed>> ReplayAll(const ReplayFlags& flags,
                                        const RoutingTrace& trace) {
  SLUICE_ASSIGN(const std::vector<std::size_t> sizes, SizesOf(flags, trace));
  std::vector<Replayed> all;
  for (const std::size_t slots : sizes) {
    for (const NamedPolicy& policy : kPolicies) {
      if (flags.policy && policy.policy != *flags.policy) continue;
      SLUICE_ASSIGN(ReplayReport report,
                    ReplayTrace(trace, {.slots = slots,
                                        .policy = policy.policy,
                                        .t1 = flags.t1,
                                        .t2 = flags.t2}));
      all.push_back({slots, std::move(report)});
    }
    SLUICE_ASSIGN(ReplayReport report, ReplayOptimum(trace, slots));
    all.push_back({slots, std::move(report)});
  }
  return all;
}

std::optional<double> Quotient(std::uint64_t a, std::uint64_t b) {
  if (b == 0) return std::nullopt;
  return static_cast<double>(a) / static_cast<double>(b);
}

std::uint64_t MissedBytes(const RoutingShape& shape,
                          const ReplayCounts& counts) {
  return counts.misses * shape.expert_bytes;
}

nlohmann::ordered_json CountsJson(const RoutingShape& shape,
                                  const ReplayCounts& counts) {
  const std::uint64_t missed = MissedBytes(shape, counts);
  return {{"tokens", counts.tokens},
          {"lookups", counts.lookups},
          {"hits", counts.hits},
          {"misses", counts.misses},
          {"evictions", counts.evictions},
          {"bases", counts.bases},
          {"upgrades", counts.upgrades},
          {"skips", counts.skips},
          {"hit_rate", ToJson(Quotient(counts.hits, counts.lookups))},
          {"missed_bytes", missed},
          {"missed_bytes_per_token", ToJson(Quotient(missed, counts.tokens))}};
}

std::string JsonReport(const RoutingTrace& trace,
                       const std::vector<Replayed>& all,
                       const std::vector<PredictorReport>& predictors) {
  nlohmann::ordered_json json = {{"layers", trace.shape.layers},
                                 {"experts", trace.shape.experts},
                                 {"experts_used", trace.used},
                                 {"expert_bytes", trace.shape.expert_bytes},
                                 {"replays", nlohmann::ordered_json::array()}};
  for (const Replayed& replayed : all) {
    const ReplayReport& report = replayed.report;
    json["replays"].push_back(
        {{"policy", report.policy},
         {"slots", replayed.slots},
         {"share", ToJson(Quotient(replayed.slots, ExpertsOf(trace.shape)))},
         {"memory_bytes", replayed.slots * trace.shape.expert_bytes},
         {"oversized_visits", report.oversized_visits},
         {"prompt", CountsJson(trace.shape, report.prompt)},
         {"decode", CountsJson(trace.shape, report.decode)}});
  }
  json["predictors"] = nlohmann::ordered_json::array();
  for (const PredictorReport& report : predictors) {
    json["predictors"].push_back(PredictorJson(report));
  }
  return Dump(json);
}

std::string TextReport(const RoutingTrace& trace,
                       const std::vector<Replayed>& all,
                       const std::vector<PredictorReport>& predictors) {
  const RoutingShape& shape = trace.shape;
  const ReplayReport& first = all.front().report;
  std::string text = fmt::format(
      "{} layers of {} experts of {}, {} per token; {} prompt and {} decoded "
      "tokens\n\n",
      shape.layers, shape.experts, FormatSize(shape.expert_bytes), trace.used,
      first.prompt.tokens, first.decode.tokens);
  Table table("rrlrrrr");
  table.AddRow({"slots", "share", "policy", "decode hits", "missed per token",
                "prompt hits", "missed"});
  for (const Replayed& replayed : all) {
    const ReplayCounts& decode = replayed.report.decode;
    const ReplayCounts& prompt = replayed.report.prompt;
    table.AddRow(
        {fmt::format("{}", replayed.slots),
         ShareText(Quotient(replayed.slots, ExpertsOf(shape))),
         replayed.report.policy,
         ShareText(Quotient(decode.hits, decode.lookups)),
         BytesText(Quotient(MissedBytes(shape, decode), decode.tokens)),
         ShareText(Quotient(prompt.hits, prompt.lookups)),
         FormatSize(MissedBytes(shape, prompt))});
  }
  text += table.Text();
  if (predictors.empty()) return text;
  return text + "\nguesses of the second half of the tokens\n" +
         PredictorTable(predictors);
}

Result<ExitCode> Replay(const ReplayFlags& flags) {
  SLUICE_ASSIGN(const std::string text, ReadNonEmptyFile(flags.trace));
  SLUICE_ASSIGN(const RoutingTrace trace, ParseTrace(text, flags.trace));
  SLUICE_ASSIGN(const std::vector<Replayed> all, ReplayAll(flags, trace));
  std::vector<PredictorReport> predictors;
  if (flags.predictor) {
    SLUICE_ASSIGN(predictors, ScorePredictors(trace, *flags.predictor));
  }
  SLUICE_TRY(WriteStdout(flags.json ? JsonReport(trace, all, predictors)
                                    : TextReport(trace, all, predictors)));
  return ExitCode::kOk;
}

void AddCacheFlags(CLI::App& app, ReplayFlags* flags) {
  const std::vector<std::string> policies = PolicyNames("all");
  AddChoice(app,
            {"--policy", fmt::format("{}", fmt::join(policies, "|")),
             "which expert leaves the cache (default all)", kCache},
            policies, [flags](std::size_t choice) {
              flags->policy = std::nullopt;
              if (choice > 0) flags->policy = kPolicies[choice - 1].policy;
            });
  AddInteger(app, {"--slots", "N", "experts that the cache holds", kCache},
             {1, 1 << 24}, [flags](std::int64_t n) {
               flags->slots = static_cast<std::size_t>(n);
             });
  AddReal(app,
          {"--share", "P",
           "the same in percent of all experts (default: 5, 10, 25 and 50)",
           kCache},
          {0, 100}, &flags->share);
  AddSize(app, {"--memory", "SIZE", "the same in bytes of experts", kCache},
          &flags->memory);
  AddReal(app,
          {"--t1", "SHARE",
           "as run's, for the counts of bases and upgrades in --json "
           "(default 1)",
           kCache},
          {0, 1}, &flags->t1);
  AddReal(app, {"--t2", "SHARE", "as run's (default 1)", kCache}, {0, 1},
          &flags->t2);
}

}  // namespace

Command AddReplay(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand(
      "replay", "Run a routing trace through the cache's policies");
  auto flags = std::make_shared<ReplayFlags>();
  AddText(*app, {"TRACE", "", "a routing trace, - for stdin", "Trace"},
          &flags->trace)
      ->required();
  AddCacheFlags(*app, flags.get());
  const std::vector<std::string> predictors = {"all", "previous", "frequency",
                                               "transition", "exact"};
  AddChoice(*app,
            {"--predictor", fmt::format("{}", fmt::join(predictors, "|")),
             "also let it guess the second half of the tokens; transition "
             "learns from the first half, exact is told what comes",
             "Guesses"},
            predictors, [predictors, flags = flags.get()](std::size_t choice) {
              flags->predictor = predictors[choice];
            });
  AddSwitch(*app, {"--json", "", "print one JSON object", "Output"},
            &flags->json);
  app->footer(kFooter);
  return {app, [flags] { return Replay(*flags); }};
}

}  // namespace sluice::tools
