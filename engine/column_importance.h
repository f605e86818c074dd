// ColumnImportance: how much an error in a column of an expert's matrix
// matters: the mean square of what that column is multiplied with, as measured
// on a text.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_COLUMN_IMPORTANCE_H_
#define SLUICE_ENGINE_COLUMN_IMPORTANCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sluice.h"
#include "storage/expert_id.h"
#include "storage/result.h"

namespace sluice {

class ColumnImportance {
 public:
  ColumnImportance(std::uint32_t layers, std::uint32_t experts,
                   std::size_t embedding, std::size_t ff);

  // Of memory that one takes.
  static std::uint64_t Bytes(std::uint64_t layers, std::uint64_t experts,
                             std::uint64_t embedding, std::uint64_t ff);

  // A token went through expert `id`: gate and up were multiplied with `input`
  // [embedding], down with `hidden` [ff].
  void Add(ExpertId id, std::span<const float> input,
           std::span<const float> hidden);

  // The columns of part 0 (gate), 1 (up) or 2 (down). Few tokens say little, so
  // those of an expert count beside the mean of its layer's experts, which
  // weighs as much as 32 tokens. Where the whole layer saw nothing, all columns
  // count alike.
  std::vector<float> Of(ExpertId id, std::size_t part) const;

  // A number for what was measured: the same tokens give the same.
  std::uint64_t Hash() const;

 private:
  // Sums over the tokens of one expert.
  struct Sums {
    std::uint64_t tokens = 0;
    std::vector<double> input;   // [embedding]
    std::vector<double> hidden;  // [ff]
  };
  std::size_t Index(ExpertId id) const {
    return std::size_t{id.layer} * experts_ + id.expert;
  }

  std::uint32_t experts_;
  std::vector<Sums> sums_;    // [layers, experts]
  std::vector<Sums> layers_;  // over a layer's experts
};

// Runs the model at `path` over `text`, in windows of 256 tokens or the model's
// context, and measures what its experts are multiplied with. `progress(tokens
// done, tokens in all)` may be empty; returning false cancels. Takes
// AvailableMemory() at most, ColumnImportance::Bytes of it for what it returns.
// Returns: as Engine::Open and Session::Evaluate; kInvalidArgument (fewer than
// two tokens).
Result<ColumnImportance> MeasureImportance(
    const std::string& path, std::string_view text,
    const std::function<bool(std::size_t, std::size_t)>& progress);

}  // namespace sluice

#endif  // SLUICE_ENGINE_COLUMN_IMPORTANCE_H_
