// ExpertId: which expert of which layer. The key of caches, stores and
// predictors.
//
// Thread safety: a value.
#ifndef SLUICE_STORAGE_EXPERT_ID_H_
#define SLUICE_STORAGE_EXPERT_ID_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace sluice {

struct ExpertId {
  std::uint16_t layer = 0;   // block index in the model, from 0
  std::uint16_t expert = 0;  // index within the layer, from 0

  friend constexpr auto operator<=>(const ExpertId&, const ExpertId&) = default;
};

}  // namespace sluice

template <>
struct std::hash<sluice::ExpertId> {
  std::size_t operator()(const sluice::ExpertId& id) const noexcept {
    return (std::size_t{id.layer} << 16) | id.expert;
  }
};

#endif  // SLUICE_STORAGE_EXPERT_ID_H_
