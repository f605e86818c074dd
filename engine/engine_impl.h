// EngineImpl: everything a session runs on, in the order in which the parts
// depend on each other.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_ENGINE_IMPL_H_
#define SLUICE_ENGINE_ENGINE_IMPL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cache/expert_cache.h"
#include "engine/chunk.h"
#include "engine/expert_pipeline.h"
#include "engine/expert_source.h"
#include "engine/memory_budget.h"
#include "engine/model_config.h"
#include "engine/model_file.h"
#include "engine/products.h"
#include "engine/prompt_loan.h"
#include "engine/resident_experts.h"
#include "engine/sluice.h"
#include "engine/thread_pool.h"
#include "engine/transformer.h"
#include "engine/weights.h"
#include "engine/workspace.h"
#include "predictor/scored_predictor.h"
#include "storage/read_device.h"

namespace sluice {

class EngineImpl final : public Engine {
 public:
  // Returns: as Engine::Open.
  static Result<std::unique_ptr<EngineImpl>> Load(const std::string& path,
                                                  const EngineOptions& options);

  Result<std::unique_ptr<Session>> NewSession() override;
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  const ModeReport& mode() const override { return mode_; }
  const PlanReport& plan() const override { return plan_; }
  Counters counters() const override;
  std::size_t vocabulary() const override { return config_.vocabulary; }
  std::vector<PredictorReport> predictor_reports() const override;
  Result<HardwareReport> MeasureHardware() override;
  BriefSpeeds MeasureBriefly() override;
  Result<void> SetMemoryBudget(std::uint64_t bytes) override {
    return budget_.Request(bytes);
  }

  // For the session, and for what runs the model in its own way.
  const std::string& path() const { return path_; }
  const ModelConfig& config() const { return config_; }
  const Compute& compute() const { return compute_; }
  const Weights& weights() const { return *weights_; }
  ExpertSource& experts() { return *source_; }
  Workspace& workspace() { return *workspace_; }
  Transformer& transformer() { return *transformer_; }
  // `chunk` comes next; on_route is told so. At position 0 it has nothing to do
  // with what was before.
  void BeginChunk(RoutingPhase phase, const Chunk& chunk);
  // Makes `room` that for chunks of a prompt with `tokens` to come: expert
  // slots become activations until the loan ends. A loan that is there stays,
  // unless a new memory budget waits for its end.
  void LendRoom(std::size_t tokens, std::optional<PromptLoan>& room);
  // `tokens` went through the model in `seconds`, stalls included.
  void CountForward(std::size_t tokens, double seconds);
  void SessionEnded() { has_session_ = false; }

 private:
  // Uses as many slots as the budget asked for last has, if none are lent.
  void ApplyBudget();
  EngineImpl(const std::string& path, const EngineOptions& options,
             ModelFile model, std::unique_ptr<Tokenizer> tokenizer,
             const PlanReport& plan, const kernels::KernelTable& kernels);
  // `packed`: whether the model is a container.
  Result<void> OpenDevice(const storage::GgufFile& gguf, bool packed,
                          const EngineOptions& options);
  // Sets the piece size and the depth of reads_; whether they were measured.
  bool ShapeReads();
  Result<void> LoadWeights(const storage::GgufFile& gguf,
                           const EngineOptions& options);
  Result<void> StartExperts();
  Result<void> StartStreaming();
  void DescribeMode();
  std::vector<std::span<const std::byte>> WeightsInMemory();
  void ReportRoutes(std::function<void(const RoutedChunk&)> on_route);

  const std::string path_;
  const PlanReport plan_;
  MemoryBudget budget_{plan_, path_};
  std::uint64_t budget_changes_ = 0;
  const std::unique_ptr<Tokenizer> tokenizer_;
  const ModelConfig config_;
  const storage::ExpertStore store_;
  const bool planes_;  // whether its experts are nested weights
  const bool by_map_;  // whether a map says which experts are low
  const std::size_t low_experts_;
  const ExpertPrecision precision_;
  const float t1_;
  const float t2_;
  const std::uint64_t base_bytes_;  // of a slot; 0: none is demoted
  const Policy policy_;
  const Prefetch prefetch_;
  const bool overlap_;
  const ReadOrder read_order_;
  std::unique_ptr<ScoredPredictor> predictor_;  // null: nothing is guessed
  ThreadPool pool_;
  PhaseClock clock_;
  Compute compute_;
  ModeReport mode_;

  storage::DeviceOptions reads_;
  std::unique_ptr<storage::ReadDevice> device_;
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<cache::ExpertCache> cache_;  // streaming only
  std::unique_ptr<ExpertSource> source_;
  const ResidentExperts* resident_ = nullptr;  // source_ when not streaming
  ExpertPipeline* pipeline_ = nullptr;         // source_ when streaming
  std::unique_ptr<Transformer> transformer_;

  // Made by loading and measuring, not by tokens.
  storage::ReadStats uncounted_reads_;
  std::uint64_t uncounted_evictions_ = 0;
  RoutingPhase phase_ = RoutingPhase::kPrompt;  // of the chunk under way
  Chunk chunk_;
  std::size_t tokens_ = 0;
  double forward_seconds_ = 0;
  bool has_session_ = false;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_ENGINE_IMPL_H_
