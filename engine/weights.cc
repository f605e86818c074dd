#include "engine/weights.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "engine/bulk_read.h"
#include "engine/guess_routers.h"
#include "engine/interleave.h"
#include "storage/xxh3.h"

namespace sluice {
namespace {

using storage::AlignDown;
using storage::AlignUp;
using storage::GgufFile;
using storage::GgufTensor;
using storage::MatrixView;
using storage::ReadRequest;

// Reads of at most this many bytes, so that progress moves and the first
// tensors are checked for errors early.
constexpr std::size_t kLoadBytes = 8 << 20;

}  // namespace

// Walks the model's tensors in the order of the forward pass. Without a buffer
// it only checks and measures; with one it also sets the views. Both walks are
// the same code, so what is measured is what is allocated.
class WeightBinder {
 public:
  WeightBinder(const GgufFile& gguf, const ModelConfig& config,
               std::byte* buffer)
      : gguf_(gguf), config_(config), buffer_(buffer) {}

  Result<void> Bind(Weights& weights) {
    const std::uint32_t width = config_.embedding;
    weights.embedding_ = Matrix("token_embd.weight", config_.vocabulary, width);
    weights.layers_.resize(config_.layers);
    for (std::uint32_t i = 0; i < config_.layers; ++i) {
      BindLayer(fmt::format("blk.{}.", i), weights.layers_[i]);
    }
    weights.output_norm_ = Norm("output_norm.weight", width);
    weights.output_ = gguf_.FindTensor("output.weight") == nullptr
                          ? weights.embedding_
                          : Matrix("output.weight", config_.vocabulary, width);
    if (error_) return tl::unexpected<Error>(std::move(*error_));
    return {};
  }

  std::size_t bytes() const { return bytes_; }
  std::vector<ReadRequest> TakeRequests() { return std::move(requests_); }

  // REQUIRES: all requests have completed.
  Result<void> CheckSums() const {
    for (const auto& [tensor, data] : placed_) {
      if (storage::HashXxh3({data, tensor->bytes}) == *tensor->checksum)
        continue;
      return Fail(ErrorCode::kCorrupt,
                  fmt::format("{}: tensor {} at offset {} does not have its "
                              "checksum; repack the model again",
                              gguf_.paths()[tensor->file], tensor->name,
                              tensor->offset));
    }
    return {};
  }

 private:
  void BindLayer(const std::string& prefix, LayerWeights& layer) {
    const std::uint32_t width = config_.embedding;
    layer.attention_norm = Norm(prefix + "attn_norm.weight", width);
    layer.q = Matrix(prefix + "attn_q.weight", config_.q_width(), width);
    layer.k = Matrix(prefix + "attn_k.weight", config_.kv_width(), width);
    layer.v = Matrix(prefix + "attn_v.weight", config_.kv_width(), width);
    layer.output =
        Matrix(prefix + "attn_output.weight", width, config_.q_width());
    if (config_.head_norms) {
      layer.q_norm = Norm(prefix + "attn_q_norm.weight", config_.head_dim);
      layer.k_norm = Norm(prefix + "attn_k_norm.weight", config_.head_dim);
    }
    layer.ffn_norm = Norm(prefix + "ffn_norm.weight", width);
    layer.router =
        Matrix(prefix + "ffn_gate_inp.weight", config_.experts, width);
    layer.guess_router = layer.router;
  }

  MatrixView Matrix(const std::string& name, std::uint32_t rows,
                    std::uint32_t columns) {
    const GgufTensor* tensor = Find(name, {columns, rows, 1, 1});
    if (tensor == nullptr) return {};
    const auto row_bytes = storage::RowBytes(tensor->type, columns);
    if (!row_bytes) {
      Refuse(
          ErrorCode::kCorrupt,
          fmt::format("tensor {} has rows of {} weights, not whole {} blocks",
                      name, columns, storage::InfoOf(tensor->type).name));
      return {};
    }
    return {.type = tensor->type,
            .rows = rows,
            .columns = columns,
            .row_bytes = *row_bytes,
            .data = Place(*tensor),
            .layout = tensor->layout};
  }

  std::span<const float> Norm(const std::string& name, std::uint32_t size) {
    const GgufTensor* tensor = Find(name, {size, 1, 1, 1});
    if (tensor == nullptr) return {};
    if (tensor->type != storage::TensorType::kF32) {
      Refuse(ErrorCode::kUnsupported,
             fmt::format("tensor {} is {}, and only F32 is supported for norms",
                         name, storage::InfoOf(tensor->type).name));
      return {};
    }
    const std::byte* data = Place(*tensor);
    if (data == nullptr) return {};
    return {reinterpret_cast<const float*>(data), size};
  }

  const GgufTensor* Find(const std::string& name,
                         const std::array<std::uint64_t, 4>& shape) {
    const GgufTensor* tensor = gguf_.FindTensor(name);
    if (tensor == nullptr) {
      Refuse(ErrorCode::kCorrupt, fmt::format("tensor {} is missing", name));
      return nullptr;
    }
    if (tensor->ne != shape) {
      Refuse(ErrorCode::kCorrupt,
             fmt::format("tensor {} has shape [{}] and the metadata says [{}]",
                         name, fmt::join(tensor->ne, ", "),
                         fmt::join(shape, ", ")));
      return nullptr;
    }
    return tensor;
  }

  // Makes room for the tensor's aligned superset; where its bytes will be, or
  // null while measuring.
  const std::byte* Place(const GgufTensor& tensor) {
    const std::uint64_t begin = AlignDown(tensor.offset);
    const std::size_t length = AlignUp(tensor.offset + tensor.bytes) - begin;
    const std::size_t region = bytes_;
    bytes_ += length;
    if (buffer_ == nullptr) return nullptr;
    for (std::size_t at = 0; at < length; at += kLoadBytes) {
      requests_.push_back({.file = tensor.file,
                           .offset = begin + at,
                           .length = std::min(kLoadBytes, length - at),
                           .destination = buffer_ + region + at});
    }
    const std::byte* const data = buffer_ + region + (tensor.offset - begin);
    if (tensor.checksum) placed_.emplace_back(&tensor, data);
    return data;
  }

  void Refuse(ErrorCode code, const std::string& what) {
    if (error_) return;
    error_ =
        Error{code, fmt::format("{}: {}; the file is damaged or is not a "
                                "complete {} model",
                                gguf_.paths()[0], what, config_.architecture)};
  }

  const GgufFile& gguf_;
  const ModelConfig& config_;
  std::byte* const buffer_;
  std::size_t bytes_ = 0;
  std::vector<ReadRequest> requests_;
  std::vector<std::pair<const GgufTensor*, const std::byte*>> placed_;
  std::optional<Error> error_;
};

Result<std::size_t> Weights::Measure(const GgufFile& gguf,
                                     const ModelConfig& config) {
  Weights unused;
  WeightBinder binder(gguf, config, nullptr);
  SLUICE_TRY(binder.Bind(unused));
  return binder.bytes();
}

Result<Weights> Weights::Load(
    const GgufFile& gguf, const ModelConfig& config,
    storage::ReadDevice& device,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  Weights weights;
  SLUICE_ASSIGN(const std::size_t bytes, Measure(gguf, config));
  SLUICE_ASSIGN(weights.buffer_,
                storage::AlignedBuffer::Allocate(bytes, {.huge_pages = true}));
  WeightBinder binder(gguf, config, weights.buffer_.data());
  SLUICE_TRY(binder.Bind(weights));
  SLUICE_TRY(ReadInFileOrder(device, binder.TakeRequests(), progress));
  SLUICE_TRY(binder.CheckSums());
  return weights;
}

void Weights::Interleave(const Compute& compute) {
  const auto interleave = [&](MatrixView& matrix) {
    InterleaveInPlace(compute, buffer_.data() + (matrix.data - buffer_.data()),
                      matrix);
  };
  for (LayerWeights& layer : layers_) {
    for (MatrixView* matrix :
         {&layer.q, &layer.k, &layer.v, &layer.output, &layer.router}) {
      interleave(*matrix);
    }
    layer.guess_router = layer.router;
  }
  if (output_.data != embedding_.data) interleave(output_);
}

std::size_t Weights::GuessRoutersBytes(const ModelConfig& config) {
  return AlignUp(config.layers * GuessRouterBytes(config));
}

Result<void> Weights::AddGuessRouters(const Compute& compute,
                                      const ModelConfig& config) {
  SLUICE_ASSIGN(guess_routers_,
                storage::AlignedBuffer::Allocate(GuessRoutersBytes(config),
                                                 {.huge_pages = true}));
  std::byte* data = guess_routers_.data();
  for (LayerWeights& layer : layers_) {
    layer.guess_router = MakeGuessRouter(compute, layer.router, data);
    data += GuessRouterBytes(config);
  }
  return {};
}

}  // namespace sluice
