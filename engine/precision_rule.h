// PrecisionRule: which of a layer's experts are worth both planes (HOBBIT, Tang
// et al. 2024, token level).
//
// A token's experts in order of their router weights G, which add up to 1: the
// one of rank i matters the less, the more weight s = G[0] + ... + G[i - 1] is
// before it. s <= T1 asks for both planes, s > T1 for the base alone; the first
// is always whole. In a chunk an expert gets what the token that needs most of
// it asks for.
//
// Thread safety: a value; const methods may run concurrently.
#ifndef SLUICE_ENGINE_PRECISION_RULE_H_
#define SLUICE_ENGINE_PRECISION_RULE_H_

#include <span>

#include "engine/expert_source.h"
#include "storage/expert_store.h"

namespace sluice {

class PrecisionRule {
 public:
  // t1 within 0 and 1; at 1 every expert is whole.
  explicit PrecisionRule(double t1) : t1_(t1) {}

  // needs[i] = kAll or kBase for request.experts[i].
  void Decide(const LayerRequest& request,
              std::span<storage::PlaneSet> needs) const;

 private:
  double t1_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRECISION_RULE_H_
