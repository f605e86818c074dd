// RouterShape: the routers that a predictor predicts.
//
// Thread safety: a value.
#ifndef SLUICE_PREDICTOR_ROUTER_SHAPE_H_
#define SLUICE_PREDICTOR_ROUTER_SHAPE_H_

#include <cstddef>

namespace sluice {

struct RouterShape {
  std::size_t layers = 0;
  std::size_t experts = 0;       // per layer
  std::size_t experts_used = 0;  // per token; at most `experts`

  // As many guesses as a predictor makes at most: more than the router asks
  // for, since what ranks just below is asked for now and then.
  std::size_t guesses() const {
    return 4 * experts_used < experts ? 4 * experts_used : experts;
  }

  friend bool operator==(const RouterShape&, const RouterShape&) = default;
};

}  // namespace sluice

#endif  // SLUICE_PREDICTOR_ROUTER_SHAPE_H_
