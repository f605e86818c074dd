// InspectModel: a model's header as a report.

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "engine/model_file.h"
#include "engine/sluice.h"

namespace sluice {
namespace {

using storage::GgufFile;
using storage::GgufType;
using storage::GgufValue;

// Longer strings and arrays are shown by their length.
constexpr std::size_t kShownCharacters = 80;

std::string_view TypeName(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
      return "uint8";
    case GgufType::kInt8:
      return "int8";
    case GgufType::kUint16:
      return "uint16";
    case GgufType::kInt16:
      return "int16";
    case GgufType::kUint32:
      return "uint32";
    case GgufType::kInt32:
      return "int32";
    case GgufType::kFloat32:
      return "float32";
    case GgufType::kBool:
      return "bool";
    case GgufType::kString:
      return "string";
    case GgufType::kArray:
      return "array";
    case GgufType::kUint64:
      return "uint64";
    case GgufType::kInt64:
      return "int64";
    case GgufType::kFloat64:
      return "float64";
  }
  return "unknown";
}

std::string Printable(const GgufValue& value) {
  if (value.type() == GgufType::kArray) {
    return fmt::format("{} x {}", value.size(), TypeName(value.element_type()));
  }
  if (const auto text = value.AsString()) {
    if (text->size() <= kShownCharacters) return std::string(*text);
    return fmt::format("string of {} bytes", text->size());
  }
  if (const auto boolean = value.AsBool()) return *boolean ? "true" : "false";
  if (const auto number = value.AsUint()) return fmt::format("{}", *number);
  if (const auto number = value.AsInt()) return fmt::format("{}", *number);
  if (const auto number = value.AsFloat()) return fmt::format("{:g}", *number);
  return "?";
}

TensorSummary Summary(const GgufFile& gguf, const storage::GgufTensor& tensor) {
  std::vector<std::uint64_t> shape(tensor.ne.begin(), tensor.ne.end());
  while (shape.size() > 1 && shape.back() == 1) shape.pop_back();
  return {.name = tensor.name,
          .type = std::string(storage::InfoOf(tensor.type).name),
          .shape = std::move(shape),
          .bytes = tensor.bytes,
          .file = gguf.paths()[tensor.file],
          .offset = tensor.offset};
}

}  // namespace

Result<ModelReport> InspectModel(const std::string& path) {
  SLUICE_ASSIGN(const ModelFile model, ModelFile::Open(path));
  const ModelConfig& config = model.config;
  ModelReport report;
  report.architecture = config.architecture;
  report.name = config.name;
  report.container = model.container;
  report.layers = config.layers;
  report.embedding = config.embedding;
  report.heads = config.heads;
  report.kv_heads = config.kv_heads;
  report.head_dim = config.head_dim;
  report.experts = config.experts;
  report.experts_used = config.experts_used;
  report.expert_ff = config.expert_ff;
  report.vocabulary = config.vocabulary;
  report.context = config.context;
  report.routes_before_attention =
      config.router_input == RouterInput::kLayerInput;
  report.sliding_window = config.window;
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    if (config.Windowed(layer)) ++report.windowed_layers;
  }
  report.expert_bytes = model.experts.total_bytes();
  for (const std::uint64_t bytes : model.gguf.file_bytes()) {
    report.file_bytes += bytes;
  }
  std::uint64_t tensor_bytes = 0;
  for (const storage::GgufTensor& tensor : model.gguf.tensors()) {
    tensor_bytes += tensor.bytes;
    report.tensors.push_back(Summary(model.gguf, tensor));
  }
  // A container's directory has the dense tensors alone.
  report.dense_bytes =
      model.packed ? tensor_bytes : tensor_bytes - report.expert_bytes;
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    report.bytes_per_expert = std::max<std::uint64_t>(
        report.bytes_per_expert,
        model.experts.expert_bytes(static_cast<std::uint16_t>(layer)));
  }
  for (const auto& [key, value] : model.gguf.metadata()) {
    report.metadata.emplace_back(key, Printable(value));
  }
  return report;
}

}  // namespace sluice
