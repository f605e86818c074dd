#include "engine/workspace.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "engine/expert_source.h"

namespace sluice {
namespace {

// Logits of a chunk are computed this many bytes at a time.
constexpr std::size_t kLogitBytes = 1 << 20;
constexpr std::size_t kCacheLine = 64;
// Tokens that stand for a chunk when its next layer is guessed.
constexpr std::size_t kAheadRows = 32;

std::size_t LogitRows(const ModelConfig& config, std::size_t chunk) {
  return std::clamp<std::size_t>(
      kLogitBytes / (config.vocabulary * sizeof(float)), 1, chunk);
}

}  // namespace

// Hands out consecutive pieces of a buffer; with none, only adds them up.
class Workspace::Carver {
 public:
  explicit Carver(std::byte* base) : base_(base) {}

  template <typename T>
  std::span<T> Take(std::size_t count) {
    std::byte* const at = base_ == nullptr ? nullptr : base_ + used_;
    used_ += storage::AlignUp(count * sizeof(T), kCacheLine);
    if (at == nullptr) return {};
    return {reinterpret_cast<T*>(at), count};
  }
  std::size_t used() const { return used_; }
  // What `other`, a copy, has taken since is taken here too.
  void Extend(const Carver& other) { used_ = std::max(used_, other.used_); }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

void Workspace::Carve(const ModelConfig& config, Carver& carver) {
  const std::size_t rows = chunk * config.experts_used;
  const std::size_t width = config.embedding;
  x = carver.Take<float>(chunk * width);
  normed = carver.Take<float>(chunk * width);
  projected = carver.Take<float>(2 * chunk * width);
  rope_cos = carver.Take<float>(chunk * config.head_dim / 2);
  rope_sin = carver.Take<float>(chunk * config.head_dim / 2);
  router_logits = carver.Take<float>(chunk * config.experts);
  row_weights = carver.Take<float>(rows);
  routed = carver.Take<std::uint16_t>(rows);
  row_of = carver.Take<std::uint32_t>(rows);
  token_of = carver.Take<std::uint32_t>(rows);
  wave_rows = carver.Take<std::uint32_t>(rows);
  const std::size_t looks = std::max(ahead_rows, kFarthestLookAhead);
  ahead_scores = carver.Take<float>(looks * config.experts);
  ahead_input = QuantizedInput(
      carver.Take<std::byte>(QuantizedInput::Bytes(looks, width)));
  logits = carver.Take<float>(2 * logit_rows * config.vocabulary);
  input = QuantizedInput(carver.Take<std::byte>(QuantizedInput::Bytes(
      chunk, std::max<std::size_t>(width, config.q_width()))));
  Carver attention = carver;
  CarveAttention(config, attention);
  CarveExperts(config, carver);
  carver.Extend(attention);
}

void Workspace::CarveAttention(const ModelConfig& config, Carver& carver) {
  q = carver.Take<float>(2 * chunk * config.q_width());
  k = carver.Take<float>(2 * chunk * config.kv_width());
  v = carver.Take<float>(2 * chunk * config.kv_width());
  attended = carver.Take<float>(chunk * config.q_width());
}

void Workspace::CarveExperts(const ModelConfig& config, Carver& carver) {
  const std::size_t rows = chunk * config.experts_used;
  const std::size_t width = config.embedding;
  // One token's rows share its input; only chunks gather.
  gathered = carver.Take<std::byte>(
      chunk == 1 ? 0
                 : rows * std::max(QuantizedInput::RecordBytes(1, width),
                                   width * sizeof(float)));
  gate = carver.Take<float>(rows * config.expert_ff);
  up = carver.Take<float>(rows * config.expert_ff);
  expert_out = carver.Take<float>(rows * width);
  hidden =
      carver.Take<std::byte>(QuantizedInput::Bytes(rows, config.expert_ff));
}

Workspace::Workspace(const ModelConfig& config, std::size_t tokens)
    : chunk(tokens),
      logit_rows(LogitRows(config, tokens)),
      ahead_rows(std::min(tokens, kAheadRows)) {}

std::size_t Workspace::Bytes(const ModelConfig& config, std::size_t chunk) {
  Workspace measured(config, chunk);
  Carver carver(nullptr);
  measured.Carve(config, carver);
  return carver.used();
}

Result<Workspace> Workspace::Create(const ModelConfig& config,
                                    std::size_t chunk) {
  SLUICE_ASSIGN(storage::AlignedBuffer buffer,
                storage::AlignedBuffer::Allocate(Bytes(config, chunk)));
  Workspace workspace = Over(config, chunk, buffer.span());
  workspace.buffer_ = std::move(buffer);
  return workspace;
}

Workspace Workspace::Over(const ModelConfig& config, std::size_t chunk,
                          std::span<std::byte> memory) {
  Workspace workspace(config, chunk);
  Carver carver(memory.data());
  workspace.Carve(config, carver);
  assert(carver.used() <= memory.size());
  return workspace;
}

}  // namespace sluice
