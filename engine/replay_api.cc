#include "engine/replay_api.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cache/expert_cache.h"
#include "engine/memory_plan.h"
#include "engine/precision_rule.h"
#include "engine/prompt_tail.h"

namespace sluice {
namespace {

constexpr std::size_t kMostSlots = std::size_t{1} << 24;  // as the cache

Result<void> CheckSlots(const RoutingTrace& trace, std::size_t slots) {
  if (slots >= trace.used && slots <= kMostSlots) return {};
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("{} slots are not within {}, which a token uses at "
                          "one layer, and {}",
                          slots, trace.used, kMostSlots));
}

// The distinct experts of a visit in order of first use, as MoeLayer groups
// them.
class Grouping {
 public:
  explicit Grouping(const RoutingTrace& trace)
      : trace_(trace), seen_(trace.shape.experts) {}

  std::span<const std::uint16_t> Of(const RoutingVisit& visit) {
    for (const std::uint16_t expert : distinct_) seen_[expert] = false;
    distinct_.clear();
    for (const std::uint16_t expert : trace_.ExpertsOf(visit)) {
      if (seen_[expert]) continue;
      seen_[expert] = true;
      distinct_.push_back(expert);
    }
    return distinct_;
  }

 private:
  const RoutingTrace& trace_;
  std::vector<bool> seen_;
  std::vector<std::uint16_t> distinct_;
};

ReplayCounts& CountsOf(ReplayReport& report, const RoutingVisit& visit) {
  ReplayCounts& counts =
      visit.phase == RoutingPhase::kPrompt ? report.prompt : report.decode;
  if (visit.layer == 0) counts.tokens += visit.tokens;
  return counts;
}

// Asks a cache for what ExpertPipeline asks it for.
class Replay {
 public:
  Replay(const RoutingTrace& trace, cache::ExpertCache& cache,
         const PrecisionRule& rule)
      : trace_(trace), cache_(cache), rule_(rule), grouping_(trace) {}

  Result<ReplayReport> Run() {
    report_.policy = cache_.policy_name();
    std::size_t layer = 0;
    for (const RoutingVisit& visit : trace_.visits) {
      const bool pass_begins = visit.layer <= layer;
      layer = visit.layer;
      const cache::CacheStats before = cache_.stats();
      Lend(visit.slots_lent);
      if (visit.token == 0 && pass_begins) cache_.BeginSequence();
      ReplayCounts& counts = CountsOf(report_, visit);
      SLUICE_TRY(Visit(visit, counts));
      const cache::CacheStats& after = cache_.stats();
      counts.lookups += after.lookups - before.lookups;
      counts.hits += after.hits - before.hits;
      counts.misses += after.misses - before.misses;
      counts.evictions += after.evictions - before.evictions;
    }
    return std::move(report_);
  }

 private:
  // As the engine does, which lends no more than half of its slots.
  void Lend(std::size_t slots) {
    if (slots == lent_) return;
    lent_ = slots;
    loan_ = {};
    loan_ = cache_.Lend(std::min(slots, cache_.slots() / 2));
  }

  Result<void> Visit(const RoutingVisit& visit, ReplayCounts& counts) {
    const std::span<const std::uint16_t> experts = grouping_.Of(visit);
    if (experts.size() > cache_.slots()) ++report_.oversized_visits;
    Decide(visit, experts);
    pins_.clear();
    misses_.clear();
    for (const std::uint16_t expert : experts) {
      LookUp({visit.layer, expert}, counts);
    }
    RememberTail(
        cache_, visit.layer, trace_.ExpertsOf(visit), visit.tokens,
        [this](std::uint16_t expert) { return PlanesOf(needs_[expert]); });
    for (const ExpertId id : misses_) {
      const storage::PlaneSet planes = PlanesOf(needs_[id.expert]);
      if (planes == storage::PlaneSet::kBase) ++counts.bases;
      std::optional<cache::Reservation> slot = cache_.Reserve(id, planes);
      if (!slot) {
        pins_.clear();  // the wave has been computed
        slot = cache_.Reserve(id, planes);
      }
      if (!slot) return Fail(ErrorCode::kInternal, "no slot is free");
      pins_.push_back(slot->Commit());
    }
    pins_.clear();
    return {};
  }

  // Sets needs_ of the visit's experts.
  void Decide(const RoutingVisit& visit,
              std::span<const std::uint16_t> experts) {
    std::vector<Need> needs(experts.size());
    const std::span<const std::uint16_t> routes = trace_.ExpertsOf(visit);
    rule_.Decide(
        {.layer = visit.layer,
         .experts = experts,
         .routes = routes,
         .weights =
             std::span(trace_.weights).subspan(visit.begin, routes.size()),
         .tokens = visit.tokens},
        needs);
    needs_.resize(trace_.shape.experts);
    for (std::size_t i = 0; i < experts.size(); ++i) {
      needs_[experts[i]] = needs[i];
    }
  }

  void LookUp(ExpertId id, ReplayCounts& counts) {
    const storage::PlaneSet planes = PlanesOf(needs_[id.expert]);
    if (std::optional<cache::Pin> pin = cache_.Lookup(id, planes)) {
      if (planes == storage::PlaneSet::kAll && pin->planes() != planes) {
        ++counts.upgrades;
        // All slots are wide.
        if (cache_.Extend(*pin) != nullptr) cache_.MakeWhole(*pin);
      }
      pins_.push_back(std::move(*pin));
    } else if (needs_[id.expert] == Need::kNothing) {
      ++counts.skips;
    } else {
      misses_.push_back(id);
    }
  }

  const RoutingTrace& trace_;
  cache::ExpertCache& cache_;
  const PrecisionRule rule_;
  Grouping grouping_;
  std::vector<Need> needs_;  // [experts], of a visit's
  ReplayReport report_;
  std::vector<cache::Pin> pins_;
  std::vector<ExpertId> misses_;
  cache::SlotLoan loan_;
  std::size_t lent_ = 0;  // as the trace says
};

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

// Of each lookup of the trace, in order, which one asks for the same expert
// next.
std::vector<std::size_t> NextUses(const RoutingTrace& trace) {
  std::vector<std::size_t> ids;
  Grouping grouping(trace);
  for (const RoutingVisit& visit : trace.visits) {
    for (const std::uint16_t expert : grouping.Of(visit)) {
      ids.push_back(std::size_t{visit.layer} * trace.shape.experts + expert);
    }
  }
  std::vector<std::size_t> last(
      std::size_t{trace.shape.layers} * trace.shape.experts, kNever);
  std::vector<std::size_t> next(ids.size());
  for (std::size_t i = ids.size(); i-- > 0;) {
    next[i] = std::exchange(last[ids[i]], i);
  }
  return next;
}

}  // namespace

Result<ReplayReport> ReplayTrace(const RoutingTrace& trace,
                                 const ReplayOptions& options) {
  SLUICE_TRY(CheckSlots(trace, options.slots));
  // Slots of one page that nothing writes to cost no memory.
  SLUICE_ASSIGN(
      const std::unique_ptr<cache::ExpertCache> cache,
      cache::ExpertCache::Create({.slots = options.slots,
                                  .slot_bytes = storage::kIoAlignment,
                                  .layers = trace.shape.layers,
                                  .experts = trace.shape.experts,
                                  .policy = PolicyKindOf(options.policy),
                                  .huge_pages = false}));
  return Replay(trace, *cache, PrecisionRule(options.t1, options.t2)).Run();
}

Result<ReplayReport> ReplayOptimum(const RoutingTrace& trace,
                                   std::size_t slots) {
  SLUICE_TRY(CheckSlots(trace, slots));
  const std::vector<std::size_t> next = NextUses(trace);
  ReplayReport report;
  report.policy = "belady";
  // An expert is known by its next use, which is no other's; those that are not
  // used again are alike.
  std::multiset<std::size_t> resident;
  std::size_t i = 0;  // the lookup
  Grouping grouping(trace);
  for (const RoutingVisit& visit : trace.visits) {
    ReplayCounts& counts = CountsOf(report, visit);
    const std::size_t experts = grouping.Of(visit).size();
    if (experts > slots) ++report.oversized_visits;
    counts.lookups += experts;
    for (const std::size_t end = i + experts; i < end; ++i) {
      const auto found = resident.find(i);
      if (found != resident.end()) {
        ++counts.hits;
        resident.erase(found);
      } else {
        ++counts.misses;
        if (resident.size() == slots) {
          ++counts.evictions;
          resident.erase(std::prev(resident.end()));
        }
      }
      resident.insert(next[i]);
    }
  }
  return report;
}

}  // namespace sluice
