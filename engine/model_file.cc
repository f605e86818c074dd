#include "engine/model_file.h"

#include <utility>

#include <fmt/format.h>

#include "engine/open_predictor.h"
#include "engine/precision_map.h"
#include "engine/products.h"
#include "engine/resident_experts.h"
#include "engine/weights.h"
#include "storage/container_reader.h"
#include "storage/plane_parts.h"

namespace sluice {
namespace {

struct Parts {
  storage::GgufFile gguf;
  ModelConfig config;
  storage::ExpertStore experts;
  std::string container;
  bool planes = false;
  std::size_t low_experts = 0;
};

Result<Parts> OpenGguf(const std::string& path) {
  SLUICE_ASSIGN(storage::GgufFile gguf, storage::GgufFile::Open(path));
  SLUICE_ASSIGN(ModelConfig config, ReadModelConfig(gguf));
  SLUICE_ASSIGN(
      storage::ExpertStore experts,
      storage::ExpertStore::FromGguf(gguf, config.layers, config.experts));
  std::string container = fmt::format("GGUF v{}", gguf.version());
  return Parts{std::move(gguf), std::move(config), std::move(experts),
               std::move(container)};
}

Error NoPlanes(const std::string& path) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: has no planes to read less of; make it with repack "
                      "--planes, or use precision full without a map",
                      path)};
}

// The map in the file `path`, of the experts of `container`, named `model`.
Result<PrecisionMap> OpenMap(const std::string& path,
                             const storage::ContainerReader& container,
                             bool planes, const std::string& model) {
  if (path.empty()) return PrecisionMap({});
  if (!planes) return tl::unexpected(NoPlanes(model));
  SLUICE_ASSIGN(PrecisionMap map, ReadPrecisionMap(path));
  SLUICE_TRY(CheckMap(map, MapModelOf(container), path));
  return map;
}

Result<Parts> OpenContainer(const std::string& path,
                            storage::VerifyReads verify,
                            ExpertPrecision precision,
                            const std::string& precision_map) {
  SLUICE_ASSIGN(storage::ContainerReader reader,
                storage::ContainerReader::Open(path));
  const bool planes = storage::HasPlanes(reader.index().record_parts(0));
  SLUICE_ASSIGN(const PrecisionMap map,
                OpenMap(precision_map, reader, planes, path));
  const auto level = precision == ExpertPrecision::kBase
                         ? storage::PlaneLevel::kBase
                         : storage::PlaneLevel::kFull;
  SLUICE_ASSIGN(
      storage::ExpertStore experts,
      storage::ExpertStore::FromContainer(reader, verify, level, map.low()));
  storage::GgufFile gguf = std::move(reader).TakeGguf();
  SLUICE_ASSIGN(ModelConfig config, ReadModelConfig(gguf));
  return Parts{std::move(gguf),
               std::move(config),
               std::move(experts),
               "Sluice container v1",
               planes,
               map.low_count()};
}

// What the forward pass relies on. A chunk's inputs are gathered once per
// expert, either as floats or quantised.
Result<void> CheckExperts(const storage::ExpertStore& experts,
                          const ModelConfig& config, const std::string& path) {
  const auto plain = [](const storage::MatrixView& matrix) {
    return FormatFor(matrix) == kernels::ActivationFormat::kF32;
  };
  const auto is = [](const storage::MatrixView& matrix, std::uint32_t rows,
                     std::uint32_t columns) {
    return matrix.rows == rows && matrix.columns == columns;
  };
  if (experts.layers() != config.layers ||
      experts.experts() != config.experts) {
    return Fail(
        ErrorCode::kCorrupt,
        fmt::format("{}: holds {} layers of {} experts and its metadata "
                    "says {} of {}; the file is damaged",
                    path, experts.layers(), experts.experts(), config.layers,
                    config.experts));
  }
  for (std::uint32_t layer = 0; layer < experts.layers(); ++layer) {
    const storage::ExpertView view =
        experts.Shape(static_cast<std::uint16_t>(layer));
    const std::uint32_t ff = config.expert_ff;
    const std::uint32_t width = config.embedding;
    if (!is(view.gate, ff, width) || !is(view.up, ff, width) ||
        !is(view.down, width, ff)) {
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("{}: the experts of layer {} do not have the "
                              "shapes that the metadata says; the file is "
                              "damaged",
                              path, layer));
    }
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

// A token needs one row of the embedding, unless it is the output too.
std::uint64_t UntouchedBytes(const storage::GgufFile& gguf) {
  if (gguf.FindTensor("output.weight") == nullptr) return 0;
  return gguf.FindTensor("token_embd.weight")->bytes;
}

}  // namespace

Result<ModelFile> ModelFile::Open(const std::string& path,
                                  storage::VerifyReads verify,
                                  ExpertPrecision precision,
                                  const std::string& precision_map) {
  const bool packed = storage::ContainerReader::IsContainer(path);
  SLUICE_ASSIGN(Parts parts,
                packed ? OpenContainer(path, verify, precision, precision_map)
                       : OpenGguf(path));
  const bool less =
      precision == ExpertPrecision::kBase || !precision_map.empty();
  if (less && !parts.planes) return tl::unexpected(NoPlanes(path));
  SLUICE_TRY(CheckExperts(parts.experts, parts.config, path));
  SLUICE_ASSIGN(const std::size_t dense,
                Weights::Measure(parts.gguf, parts.config));
  return ModelFile{.gguf = std::move(parts.gguf),
                   .config = std::move(parts.config),
                   .experts = std::move(parts.experts),
                   .container = std::move(parts.container),
                   .packed = packed,
                   .planes = parts.planes,
                   .low_experts = parts.low_experts,
                   .dense_bytes = dense};
}

Result<PlanInputs> PlanInputsFor(const ModelFile& model,
                                 const Tokenizer& tokenizer,
                                 std::uint64_t process_bytes,
                                 const EngineOptions& options) {
  if (options.context > model.config.context) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: a context of {} tokens was asked for and the "
                            "model has {}; ask for at most that",
                            model.gguf.paths()[0], options.context,
                            model.config.context));
  }
  const std::uint64_t experts =
      std::uint64_t{model.config.layers} * model.config.experts;
  return PlanInputs{
      .config = &model.config,
      .memory_bytes = options.memory_bytes.value_or(AvailableMemory()),
      .process_bytes = process_bytes,
      .tokenizer_bytes = tokenizer.memory_bytes(),
      .dense_bytes = model.dense_bytes,
      .resident_expert_bytes = ResidentExperts::Bytes(model.experts),
      .slot_bytes = model.experts.slot_bytes(),
      .read_bytes_per_expert = model.experts.read_bytes() / experts,
      .bytes_per_expert = model.experts.total_bytes() / experts,
      .dense_decode_bytes = model.dense_bytes - UntouchedBytes(model.gguf),
      .context = options.context,
      .prefill_chunk = options.prefill_chunk,
      .kv_format = options.kv_format,
      .force_streaming = options.force_streaming,
      .policy = options.policy,
      .guesses = GuessesNextLayer(options),
  };
}

}  // namespace sluice
