#include "engine/prompt_loan.h"

#include <algorithm>
#include <utility>

namespace sluice {

PromptLoan::PromptLoan(const ModelConfig& config, std::size_t chunk,
                       cache::SlotLoan slots, Workspace& work)
    : slots_(std::move(slots)),
      work_(&work),
      standing_(
          std::exchange(work, Workspace::Over(config, chunk, slots_.memory()))),
      width_(config.embedding) {}

PromptLoan::PromptLoan(PromptLoan&& other) noexcept
    : slots_(std::move(other.slots_)),
      work_(std::exchange(other.work_, nullptr)),
      standing_(std::move(other.standing_)),
      width_(other.width_) {}

PromptLoan::~PromptLoan() { End(); }

std::size_t PromptLoan::Return(std::size_t token) {
  if (work_ == nullptr) return token;
  std::copy_n(&work_->x[token * width_], width_, standing_->x.data());
  End();
  return 0;
}

void PromptLoan::End() {
  if (work_ == nullptr) return;
  *std::exchange(work_, nullptr) = *std::move(standing_);
  slots_ = {};
}

}  // namespace sluice
