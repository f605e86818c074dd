// PromptLoan: expert slots that hold a prompt's activations while it runs.
//
// Thread safety: thread-compatible. Must not outlive the workspace and cache.
#ifndef SLUICE_ENGINE_PROMPT_LOAN_H_
#define SLUICE_ENGINE_PROMPT_LOAN_H_

#include <cstddef>
#include <optional>

#include "cache/expert_cache.h"
#include "engine/model_config.h"
#include "engine/workspace.h"

namespace sluice {

class [[nodiscard]] PromptLoan {
 public:
  // No loan: the standing workspace is used.
  PromptLoan() = default;
  // `work` has room for chunks of `chunk` tokens, in `slots`, until the loan
  // ends. REQUIRES: the slots hold Workspace::Bytes(config, chunk).
  PromptLoan(const ModelConfig& config, std::size_t chunk,
             cache::SlotLoan slots, Workspace& work);
  PromptLoan(PromptLoan&& other) noexcept;
  PromptLoan& operator=(PromptLoan&& other) = delete;
  ~PromptLoan();

  // Ends the loan. The hidden state of `token` of the last chunk becomes that
  // of the standing workspace's token 0. Returns where it is: 0, or `token`
  // without a loan.
  std::size_t Return(std::size_t token);

 private:
  void End();

  cache::SlotLoan slots_;
  Workspace* work_ = nullptr;  // null: no loan
  std::optional<Workspace> standing_;
  std::size_t width_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_PROMPT_LOAN_H_
