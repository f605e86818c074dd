#include "engine/engine_impl.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/cpu_quota.h"
#include "engine/hardware.h"
#include "engine/memory_limits.h"
#include "engine/memory_plan.h"
#include "engine/open_options.h"
#include "engine/open_predictor.h"
#include "engine/prompt_room.h"
#include "engine/read_shape.h"
#include "engine/session_impl.h"
#include "engine/size_text.h"

namespace sluice {
namespace {

storage::VerifyReads PolicyOf(VerifyRecords verify) {
  switch (verify) {
    case VerifyRecords::kAlways:
      return storage::VerifyReads::kAlways;
    case VerifyRecords::kNever:
      return storage::VerifyReads::kNever;
    case VerifyRecords::kFirst:
      break;
  }
  return storage::VerifyReads::kFirst;
}

std::string PrecisionName(bool planes, ExpertPrecision precision, bool by_map,
                          bool by_weight) {
  if (by_map) return by_weight ? "by map and weight" : "by map";
  if (by_weight) return "by weight";
  if (!planes) return "";
  return precision == ExpertPrecision::kBase ? "base" : "full";
}

Result<void> CheckRule(const std::string& path, const EngineOptions& options,
                       const storage::ExpertStore& store) {
  if (options.t1 == options.t2 || store.has_planes()) return {};
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: t1 below t2 chooses between base and full "
                          "planes, and here there is no choice; use a file of "
                          "repack --planes at precision full, or t1 = t2",
                          path));
}

Error BelowFloor(const std::string& path, const PlanReport& plan) {
  return {
      ErrorCode::kNoMemory,
      fmt::format("{}: needs at least {} of memory and may use {}; raise "
                  "the memory limit to at least {}K",
                  path, FormatSize(plan.floor_bytes),
                  FormatSize(plan.memory_bytes), plan.floor_bytes / 1024 + 1)};
}

Result<void> CheckVocabulary(const std::string& path,
                             const Tokenizer& tokenizer,
                             const ModelConfig& config) {
  if (tokenizer.size() <= config.vocabulary) return {};
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{}: tokenizer.ggml.tokens has {} entries and "
                          "token_embd.weight {} rows; the file is damaged",
                          path, tokenizer.size(), config.vocabulary));
}

}  // namespace

Result<std::unique_ptr<EngineImpl>> EngineImpl::Load(
    const std::string& path, const EngineOptions& options) {
  SLUICE_TRY(options.Validate());
  // Counts as a part of the process.
  SLUICE_ASSIGN(std::optional<TransitionTable> table,
                LoadPredictorTable(options));
  const std::uint64_t process_bytes = CurrentResidentBytes();
  SLUICE_ASSIGN(const kernels::KernelTable* kernels, PickKernels(options.isa));
  SLUICE_ASSIGN(ModelFile model,
                ModelFile::Open(path, PolicyOf(options.verify_reads),
                                options.precision, options.precision_map));
  SLUICE_TRY(CheckRule(path, options, model.experts));
  SLUICE_ASSIGN(std::unique_ptr<Tokenizer> tokenizer,
                Tokenizer::FromGguf(model.gguf));
  SLUICE_TRY(CheckVocabulary(path, *tokenizer, model.config));
  SLUICE_ASSIGN(const PlanInputs inputs,
                PlanInputsFor(model, *tokenizer, process_bytes, options));
  const PlanReport plan = MakePlan(inputs);
  if (!plan.fits) return tl::unexpected<Error>(BelowFloor(path, plan));
  SLUICE_ASSIGN(std::unique_ptr<ScoredPredictor> predictor,
                OpenPredictor(options, std::move(table),
                              {.layers = model.config.layers,
                               .experts = model.config.experts,
                               .experts_used = model.config.experts_used}));

  // The header goes when this function returns: only its views are kept.
  const storage::GgufFile gguf = std::move(model.gguf);
  const bool packed = model.packed;
  std::unique_ptr<EngineImpl> engine(new EngineImpl(
      path, options, std::move(model), std::move(tokenizer), plan, *kernels));
  engine->predictor_ = std::move(predictor);
  SLUICE_TRY(engine->OpenDevice(gguf, packed, options));
  SLUICE_TRY(engine->LoadWeights(gguf, options));
  SLUICE_TRY(engine->StartExperts());
  engine->DescribeMode();
  if (options.on_route) engine->ReportRoutes(options.on_route);
  return engine;
}

EngineImpl::EngineImpl(const std::string& path, const EngineOptions& options,
                       ModelFile model, std::unique_ptr<Tokenizer> tokenizer,
                       const PlanReport& plan,
                       const kernels::KernelTable& kernels)
    : path_(path),
      plan_(plan),
      tokenizer_(std::move(tokenizer)),
      config_(std::move(model.config)),
      store_(std::move(model.experts)),
      planes_(model.planes),
      by_map_(!options.precision_map.empty()),
      low_experts_(model.low_experts),
      precision_(options.precision),
      t1_(options.t1),
      t2_(options.t2),
      base_bytes_(t1_ < t2_ && !by_map_ ? BaseBytes(store_) : 0),
      policy_(options.policy),
      prefetch_(options.prefetch),
      overlap_(options.overlap),
      read_order_(options.read_order),
      pool_(options.threads != 0 ? options.threads : DefaultThreads()),
      compute_{kernels, pool_, clock_} {}

Result<void> EngineImpl::OpenDevice(const storage::GgufFile& gguf, bool packed,
                                    const EngineOptions& options) {
  const std::vector<std::string> paths(gguf.paths().begin(),
                                       gguf.paths().end());
  reads_.kind = KindOf(options.device);
  reads_.direct = options.direct_io;
  SLUICE_ASSIGN(device_, storage::OpenReadDevice(paths, reads_));
  if (options.probe_flash && packed && plan_.streaming && device_->direct() &&
      ShapeReads()) {
    device_.reset();
    SLUICE_ASSIGN(device_, storage::OpenReadDevice(paths, reads_));
  }
  // The header described these files; a file replaced since is another model.
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (device_->file_sizes()[i] != gguf.file_bytes()[i]) {
      return Fail(ErrorCode::kIo,
                  fmt::format("{}: changed from {} to {} bytes while it was "
                              "opened; try again when it is complete",
                              paths[i], gguf.file_bytes()[i],
                              device_->file_sizes()[i]));
    }
  }
  return {};
}

bool EngineImpl::ShapeReads() {
  storage::ReadShapeOptions probe;
  probe.path = path_;
  probe.request_bytes = store_.slot_bytes();
  probe.most_bytes = plan_.expert_bytes;  // of slots, which are not there yet
  probe.device = reads_.kind;
  const auto shape = ReadShapeFor(*device_, probe, path_ + ".probe");
  if (!shape) return false;
  reads_.piece_bytes = shape->piece_bytes;
  reads_.depth = shape->depth;
  return true;
}

Result<void> EngineImpl::LoadWeights(const storage::GgufFile& gguf,
                                     const EngineOptions& options) {
  const std::uint64_t experts = plan_.streaming ? 0 : plan_.expert_bytes;
  // Two passes over the files, one bar.
  const auto report = [&](std::uint64_t before, std::uint64_t after) {
    std::function<void(std::uint64_t, std::uint64_t)> progress;
    if (!options.on_load) return progress;
    progress = [&options, before, after](std::uint64_t done,
                                         std::uint64_t total) {
      options.on_load(before + done, before + total + after);
    };
    return progress;
  };
  SLUICE_ASSIGN(Weights weights,
                Weights::Load(gguf, config_, *device_, report(0, experts)));
  weights.Interleave(compute_);
  weights_ = std::make_unique<Weights>(std::move(weights));
  if (!plan_.streaming) {
    SLUICE_ASSIGN(
        auto resident,
        ResidentExperts::Load(store_, *device_, report(plan_.dense_bytes, 0)));
    resident->Interleave(compute_);
    resident_ = resident.get();
    source_ = std::move(resident);
  }
  uncounted_reads_ = device_->stats();
  return {};
}

Result<void> EngineImpl::StartExperts() {
  SLUICE_ASSIGN(Workspace workspace,
                Workspace::Create(config_, plan_.standing_chunk));
  workspace_ = std::make_unique<Workspace>(std::move(workspace));
  if (plan_.streaming) SLUICE_TRY(StartStreaming());
  transformer_ = std::make_unique<Transformer>(compute_, config_, *weights_,
                                               *source_, *workspace_);
  return {};
}

Result<void> EngineImpl::StartStreaming() {
  SLUICE_ASSIGN(cache_,
                cache::ExpertCache::Create({.slots = plan_.slots,
                                            .slot_bytes = store_.slot_bytes(),
                                            .base_bytes = base_bytes_,
                                            .layers = config_.layers,
                                            .experts = config_.experts,
                                            .policy = PolicyKindOf(policy_)}));
  auto pipeline =
      std::make_unique<ExpertPipeline>(store_, *device_, *cache_, overlap_);
  pipeline->UseOrder(read_order_);
  if (t1_ < 1) pipeline->UseRule(PrecisionRule(t1_, t2_));
  if (predictor_) {
    SLUICE_TRY(weights_->AddGuessRouters(compute_, config_));
    const std::uint64_t experts = plan_.experts_total;
    pipeline->StartPrefetch(
        {.experts_used = config_.experts_used,
         .bytes_per_expert = store_.read_bytes() / experts,
         .bytes_per_base =
             store_.has_planes()
                 ? store_.read_bytes(storage::PlaneSet::kBase) / experts
                 : 0,
         .always = prefetch_ == Prefetch::kAlways},
        *predictor_);
  }
  pipeline_ = pipeline.get();
  source_ = std::move(pipeline);
  return {};
}

void EngineImpl::DescribeMode() {
  const bool by_weight = plan_.streaming && t1_ < 1;
  mode_ = {
      .streaming = plan_.streaming,
      .memory_bytes = plan_.memory_bytes,
      .slots = plan_.slots,
      .slot_bytes = plan_.streaming ? plan_.slot_bytes : 0,
      .device = std::string(device_->name()),
      .direct = device_->direct(),
      .piece_bytes = reads_.piece_bytes,
      .depth = reads_.depth,
      .isa = std::string(compute_.kernels.name),
      .precision = PrecisionName(planes_, precision_, by_map_, by_weight),
      .low_experts = low_experts_,
      .t1 = by_weight ? t1_ : 1,
      .t2 = by_weight ? t2_ : 1,
      .lossy = precision_ == ExpertPrecision::kBase || low_experts_ > 0 ||
               by_weight || plan_.kv_format != KvFormat::kF16,
      .policy = cache_ ? std::string(cache_->policy_name()) : "",
      .predictor = cache_ && predictor_ ? std::string(predictor_->name()) : "",
      .threads = pool_.threads(),
      .kv_format = plan_.kv_format,
      .context = plan_.context,
      .prefill_chunk = plan_.prefill_chunk};
}

void EngineImpl::ReportRoutes(
    std::function<void(const RoutedChunk&)> on_route) {
  transformer_->ObserveRoutes([this, on_route = std::move(on_route)](
                                  std::uint16_t layer,
                                  std::span<const std::uint16_t> experts,
                                  std::span<const float> weights) {
    const std::size_t tokens = experts.size() / config_.experts_used;
    on_route({.phase = phase_,
              .position = chunk_.position + chunk_.tokens - tokens,
              .layer = layer,
              .tokens = tokens,
              .slots_lent = cache_ ? cache_->lent() : 0,
              .experts = experts,
              .weights = weights});
  });
}

void EngineImpl::BeginChunk(RoutingPhase phase, const Chunk& chunk) {
  ApplyBudget();
  phase_ = phase;
  chunk_ = chunk;
  if (chunk.position > 0) return;
  if (cache_ != nullptr) cache_->BeginSequence();
  if (predictor_) predictor_->BeginSequence();
}

Result<std::unique_ptr<Session>> EngineImpl::NewSession() {
  if (has_session_) {
    return Fail(ErrorCode::kInvalidArgument,
                "the engine has a session already; end it first");
  }
  SLUICE_ASSIGN(KvCache cache,
                KvCache::Create(config_, {.context = plan_.context,
                                          .format = plan_.kv_format}));
  has_session_ = true;
  return std::make_unique<SessionImpl>(*this, std::move(cache));
}

std::vector<PredictorReport> EngineImpl::predictor_reports() const {
  if (cache_ == nullptr || predictor_ == nullptr) return {};
  return {DescribeScore(predictor_->name(), predictor_->score()),
          DescribeScore(PredictorName(PredictorKind::kFrequency),
                        predictor_->control())};
}

Result<HardwareReport> EngineImpl::MeasureHardware() {
  HardwareReport report;
  CountWork(config_, *weights_, store_, report);
  // First what changes soonest.
  report.dram_bytes_per_second = MeasureDram(compute_, WeightsInMemory());
  report.int8_macs_per_second = MeasureMultiply(compute_, weights_->memory());
  if (cache_ != nullptr) {
    pipeline_->Drain();  // the device is needed
    const storage::ReadStats reads = device_->stats();
    const std::uint64_t evictions = cache_->stats().evictions;
    SLUICE_ASSIGN(
        const FlashSpeeds flash,
        MeasureFlash(compute_, store_, *device_, *cache_, weights_->memory()));
    report.flash_bytes_per_second = flash.alone;
    report.dram_beside_flash_bytes_per_second = flash.memory_beside;
    report.flash_beside_dram_bytes_per_second = flash.beside_memory;
    uncounted_reads_.bytes += device_->stats().bytes - reads.bytes;
    uncounted_reads_.requests += device_->stats().requests - reads.requests;
    uncounted_evictions_ += cache_->stats().evictions - evictions;
  }
  return report;
}

BriefSpeeds EngineImpl::MeasureBriefly() {
  return {
      .dram_bytes_per_second = MeasureDramBriefly(compute_, WeightsInMemory()),
      .int8_macs_per_second =
          MeasureMultiplyBriefly(compute_, weights_->memory())};
}

std::vector<std::span<const std::byte>> EngineImpl::WeightsInMemory() {
  std::vector<std::span<const std::byte>> memory;
  if (cache_ != nullptr) memory = cache_->ReadySlots();
  if (cache_ == nullptr) memory.push_back(resident_->memory());
  memory.push_back(weights_->memory());
  return memory;
}

void EngineImpl::LendRoom(std::size_t tokens, std::optional<PromptLoan>& room) {
  if (room && !budget_.pending()) return;
  room.reset();
  ApplyBudget();
  room.emplace();
  if (plan_.prefill_chunk == plan_.standing_chunk) return;
  const PromptRoom wanted =
      RoomForPrompt(config_,
                    {.standing_chunk = plan_.standing_chunk,
                     .slots = cache_->wide_slots(),
                     .slot_bytes = plan_.slot_bytes},
                    tokens);
  if (wanted.lent_slots == 0) return;
  pipeline_->Drain();  // nothing may be read into slots that are lent
  room.emplace(config_, wanted.chunk, cache_->Lend(wanted.lent_slots),
               *workspace_);
}

void EngineImpl::ApplyBudget() {
  if (cache_ != nullptr && cache_->lent() > 0) return;
  const std::optional<std::uint64_t> bytes = budget_.Take();
  if (!bytes || *bytes == mode_.memory_bytes) return;
  mode_.memory_bytes = *bytes;
  ++budget_changes_;
  if (cache_ == nullptr) return;
  pipeline_->Drain();  // nothing may be read into slots that go
  const SlotBudget slots = SlotsWithin(plan_, *bytes, base_bytes_);
  cache_->Resize(slots.slots, slots.wide);
  mode_.slots = cache_->slots();
}

void EngineImpl::CountForward(std::size_t tokens, double seconds) {
  tokens_ += tokens;
  forward_seconds_ += seconds;
}

}  // namespace sluice
