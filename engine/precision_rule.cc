#include "engine/precision_rule.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace sluice {

// Rounding may bring a sum of weights above 1.
Need PrecisionRule::Of(double before) const {
  if (t1_ >= 1 || before <= t1_) return Need::kWhole;
  return t2_ >= 1 || before <= t2_ ? Need::kBase : Need::kNothing;
}

void PrecisionRule::Decide(const LayerRequest& request,
                           std::span<Need> needs) const {
  std::ranges::fill(needs, Need::kNothing);
  const std::size_t used = request.routes.size() / request.tokens;
  double before = 0;
  for (std::size_t i = 0; i < request.routes.size(); ++i) {
    if (i % used == 0) before = 0;
    const auto found = std::ranges::find(request.experts, request.routes[i]);
    Need& need =
        needs[static_cast<std::size_t>(found - request.experts.begin())];
    need = std::max(need, Of(before));
    before += double{request.weights[i]};
  }
}

void PrecisionRule::Foresee(const LookAhead& look, std::size_t experts_used,
                            std::span<Need> needs) const {
  std::ranges::fill(needs, look.scores.empty() ? Need::kWhole : Of(1));
  if (look.scores.empty()) return;
  std::vector<std::uint16_t> best(experts_used);
  std::vector<std::uint16_t> order(needs.size());
  for (std::size_t e = 0; e < order.size(); ++e) {
    order[e] = static_cast<std::uint16_t>(e);
  }
  for (std::size_t t = 0; t < look.sampled; ++t) {
    const auto scores = look.scores.subspan(t * needs.size(), needs.size());
    const auto score = [&](std::uint16_t e) { return scores[e]; };
    std::ranges::partial_sort_copy(order, best, std::greater(), score, score);
    double sum = 0;
    for (const std::uint16_t e : best) sum += double{scores[e]};
    double before = 0;
    for (const std::uint16_t e : best) {
      needs[e] = std::max(needs[e], Of(sum > 0 ? before / sum : 0));
      before += double{scores[e]};
    }
  }
}

}  // namespace sluice
