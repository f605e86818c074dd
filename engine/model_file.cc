#include "engine/model_file.h"

#include <utility>

#include <fmt/format.h>

#include "engine/products.h"
#include "engine/weights.h"

namespace sluice {
namespace {

// A chunk's inputs are gathered once per expert, either as floats or quantised.
Result<void> CheckExpertTypes(const storage::ExpertStore& experts,
                              const std::string& path) {
  const auto plain = [](const storage::MatrixView& matrix) {
    return FormatFor(matrix) == kernels::ActivationFormat::kF32;
  };
  for (std::uint16_t layer = 0; layer < experts.layers(); ++layer) {
    const storage::ExpertView view = experts.Shape(layer);
    if (plain(view.gate) != plain(view.up)) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("{}: layer {} mixes float and quantised experts "
                              "(gate {}, up {}); quantise both alike",
                              path, layer, storage::InfoOf(view.gate.type).name,
                              storage::InfoOf(view.up.type).name));
    }
  }
  return {};
}

}  // namespace

Result<ModelFile> ModelFile::Open(const std::string& path) {
  SLUICE_ASSIGN(storage::GgufFile gguf, storage::GgufFile::Open(path));
  SLUICE_ASSIGN(ModelConfig config, ReadModelConfig(gguf));
  SLUICE_ASSIGN(
      storage::ExpertStore experts,
      storage::ExpertStore::FromGguf(gguf, config.layers, config.experts));
  SLUICE_TRY(CheckExpertTypes(experts, path));
  SLUICE_ASSIGN(const std::size_t dense,
                Weights::Measure(gguf, config, Weights::Experts::kStreamed));
  SLUICE_ASSIGN(const std::size_t all,
                Weights::Measure(gguf, config, Weights::Experts::kResident));
  return ModelFile{.gguf = std::move(gguf),
                   .config = std::move(config),
                   .experts = std::move(experts),
                   .dense_bytes = dense,
                   .resident_expert_bytes = all - dense};
}

Result<PlanReport> PlanFor(const ModelFile& model, const Tokenizer& tokenizer,
                           std::uint64_t process_bytes,
                           const EngineOptions& options) {
  if (options.context > model.config.context) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: a context of {} tokens was asked for and the "
                            "model has {}; ask for at most that",
                            model.gguf.paths()[0], options.context,
                            model.config.context));
  }
  return MakePlan({
      .config = &model.config,
      .memory_bytes = options.memory_bytes.value_or(AvailableMemory()),
      .process_bytes = process_bytes,
      .tokenizer_bytes = tokenizer.memory_bytes(),
      .dense_bytes = model.dense_bytes,
      .resident_expert_bytes = model.resident_expert_bytes,
      .slot_bytes = model.experts.slot_bytes(),
      .read_bytes_per_expert = model.experts.slot_bytes(),
      .context = options.context,
      .prefill_chunk = options.prefill_chunk,
      .force_streaming = options.force_streaming,
      .policy = options.policy,
  });
}

}  // namespace sluice
