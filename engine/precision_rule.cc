#include "engine/precision_rule.h"

#include <algorithm>

namespace sluice {

using storage::PlaneSet;

void PrecisionRule::Decide(const LayerRequest& request,
                           std::span<PlaneSet> needs) const {
  if (t1_ >= 1) {  // whatever rounding does to the sum of the weights
    std::ranges::fill(needs, PlaneSet::kAll);
    return;
  }
  std::ranges::fill(needs, PlaneSet::kBase);
  const std::size_t used = request.routes.size() / request.tokens;
  for (std::size_t t = 0; t < request.tokens; ++t) {
    double before = 0;
    for (std::size_t i = t * used; i < (t + 1) * used && before <= t1_; ++i) {
      const auto found = std::ranges::find(request.experts, request.routes[i]);
      needs[static_cast<std::size_t>(found - request.experts.begin())] =
          PlaneSet::kAll;
      before += double{request.weights[i]};
    }
  }
}

}  // namespace sluice
