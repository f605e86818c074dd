// PrecisionRule: how much a layer's missing experts are worth reading (HOBBIT,
// Tang et al. 2024, token level).
//
// A token's experts in order of their router weights G, which add up to 1: the
// one of rank i matters the less, the more weight s = G[0] + ... + G[i - 1] is
// before it. s <= T1 asks for both planes, T1 < s <= T2 for the base alone, and
// s > T2 for nothing; the first is always whole. In a chunk an expert gets what
// the token that needs most of it asks for.
//
// Thread safety: a value; const methods may run concurrently.
#ifndef SLUICE_ENGINE_PRECISION_RULE_H_
#define SLUICE_ENGINE_PRECISION_RULE_H_

#include <cstdint>
#include <span>

#include "engine/expert_source.h"
#include "storage/expert_store.h"

namespace sluice {

// What is to be read of an expert that is missing; least first.
enum class Need : std::uint8_t { kNothing, kBase, kWhole };

// The planes of an expert that are used then; if it is left out, none are, and
// kBase says that it was not wanted whole.
inline storage::PlaneSet PlanesOf(Need need) {
  return need == Need::kWhole ? storage::PlaneSet::kAll
                              : storage::PlaneSet::kBase;
}

class PrecisionRule {
 public:
  // t1 <= t2, both within 0 and 1. At t1 = 1 every expert is whole, at t2 = 1
  // each is read.
  explicit PrecisionRule(double t1, double t2 = 1) : t1_(t1), t2_(t2) {}

  // Of an expert that has `before` of its token's weight before it.
  Need Of(double before) const;
  // needs[i] is what request.experts[i] is worth.
  void Decide(const LayerRequest& request, std::span<Need> needs) const;
  // needs[e] is what expert e of the layer ahead will be worth, by look.scores:
  // each sampled token's best `experts_used`, their scores as weights. Every
  // expert is worth all without scores. REQUIRES: needs is [experts].
  void Foresee(const LookAhead& look, std::size_t experts_used,
               std::span<Need> needs) const;

 private:
  double t1_;
  double t2_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PRECISION_RULE_H_
