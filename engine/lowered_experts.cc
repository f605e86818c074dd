#include "engine/lowered_experts.h"

#include <cstddef>

namespace sluice {

Result<std::span<const ReadyExpert>> LoweredExperts::NextWave() {
  SLUICE_ASSIGN(const std::span<const ReadyExpert> wave, source_.NextWave());
  if (low_.empty()) return wave;
  wave_.assign(wave.begin(), wave.end());
  for (ReadyExpert& ready : wave_) {
    if (!low_[std::size_t{layer_} * experts_ + requested_[ready.index]]) {
      continue;
    }
    storage::ExpertView& expert = ready.weights;
    for (storage::MatrixView* matrix :
         {&expert.gate, &expert.up, &expert.down}) {
      matrix->residual = nullptr;
      matrix->residual_row_bytes = 0;
    }
  }
  return std::span<const ReadyExpert>(wave_);
}

}  // namespace sluice
