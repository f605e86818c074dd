// Workspace: every activation buffer of the forward pass, for chunks of up to
// `chunk` tokens, in one piece of memory: its own, or one that it is given.
//
// What attention alone uses and what the experts alone use share their place.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_ENGINE_WORKSPACE_H_
#define SLUICE_ENGINE_WORKSPACE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/model_config.h"
#include "engine/products.h"
#include "storage/aligned_buffer.h"
#include "storage/result.h"

namespace sluice {

class Workspace {
 public:
  static std::size_t Bytes(const ModelConfig& config, std::size_t chunk);
  // Returns: kNoMemory.
  static Result<Workspace> Create(const ModelConfig& config, std::size_t chunk);
  // In `memory`, which must outlive it and be aligned to a cache line.
  // REQUIRES: memory.size() >= Bytes(config, chunk).
  static Workspace Over(const ModelConfig& config, std::size_t chunk,
                        std::span<std::byte> memory);

  std::size_t chunk = 0;       // T: tokens at most
  std::size_t logit_rows = 0;  // tokens whose logits fit in `logits`
  std::size_t ahead_rows = 0;  // S: tokens of a chunk that are looked ahead

  // Outputs of products with two-term inputs have room for both terms, the
  // second behind the first. K is experts_used; a "row" is one (token, rank)
  // pair, grouped by expert.
  std::span<float> x;                  // [T, embedding] residual stream
  std::span<float> normed;             // [T, embedding]
  std::span<float> projected;          // [T, embedding]
  std::span<float> rope_cos;           // [T, head_dim / 2]
  std::span<float> rope_sin;           // [T, head_dim / 2]
  std::span<float> router_logits;      // [T, experts]
  std::span<float> row_weights;        // [T, K] by rank
  std::span<std::uint16_t> routed;     // [T, K] expert ids by rank
  std::span<std::uint32_t> row_of;     // [T, K] row of each (token, rank)
  std::span<std::uint32_t> token_of;   // [T * K] token of each row
  std::span<std::uint32_t> wave_rows;  // [T * K] rows computed together
  std::span<float> logits;             // [logit_rows, vocabulary]
  std::span<float> ahead_scores;       // [S or layers ahead, experts]
  QuantizedInput ahead_input;          // of the routers that they are from
  QuantizedInput input;                // of the attention, router and experts
  // Attention's.
  std::span<float> q;         // [T, heads * head_dim]
  std::span<float> k;         // [T, kv_heads * head_dim]
  std::span<float> v;         // [T, kv_heads * head_dim]
  std::span<float> attended;  // [T, heads * head_dim]
  // The experts'.
  std::span<std::byte> gathered;  // [T * K] quantised inputs by row
  std::span<float> gate;          // [T * K, expert_ff]
  std::span<float> up;            // [T * K, expert_ff]
  std::span<float> expert_out;    // [T * K, embedding]
  std::span<std::byte> hidden;    // [T * K] quantised expert neurons by row

 private:
  class Carver;
  Workspace(const ModelConfig& config, std::size_t tokens);
  void Carve(const ModelConfig& config, Carver& carver);
  void CarveAttention(const ModelConfig& config, Carver& carver);
  void CarveExperts(const ModelConfig& config, Carver& carver);

  storage::AlignedBuffer buffer_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_WORKSPACE_H_
