// ModelConfig: the shape of a model, read from its GGUF metadata and checked.
//
// Thread safety: a value.
#ifndef SLUICE_ENGINE_MODEL_CONFIG_H_
#define SLUICE_ENGINE_MODEL_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/gguf.h"
#include "storage/result.h"

namespace sluice {

// What a neuron's gate goes through before it meets up (Shazeer 2020).
enum class Activation { kSilu, kRelu };  // SwiGLU, ReGLU
// What makes an expert's score of its router logit.
enum class Gating { kSoftmax, kSigmoid };
// What a layer's router reads.
enum class RouterInput {
  kAfterAttention,  // what the experts read: the normed residual stream
  kLayerInput,      // the residual stream as it enters the layer, not normed:
                    // the experts are known before attention
};

struct ModelConfig {
  std::string architecture;
  std::string name;
  std::uint32_t layers = 0;
  std::uint32_t embedding = 0;     // width of the residual stream
  std::uint32_t heads = 0;         // query heads
  std::uint32_t kv_heads = 0;      // key and value heads; divides heads
  std::uint32_t head_dim = 0;      // multiple of 16, at most 512
  std::uint32_t experts = 0;       // per layer
  std::uint32_t experts_used = 0;  // top-k
  std::uint32_t expert_ff = 0;     // neurons of one expert
  std::uint32_t vocabulary = 0;
  std::uint32_t context = 0;  // tokens the model was trained for
  float rms_epsilon = 0;
  double rope_base = 10000.0;

  Activation activation = Activation::kSilu;
  Gating gating = Gating::kSoftmax;
  RouterInput router_input = RouterInput::kAfterAttention;
  bool head_norms = true;  // a norm on each query and key head
  // Positions that a windowed layer sees, its own included; 0: no such layers.
  std::uint32_t window = 0;
  // With a window, layers 0, global_period, 2 * global_period, ... see every
  // position and have no rotary positions; the others are windowed.
  std::uint32_t global_period = 1;

  std::uint32_t q_width() const { return heads * head_dim; }
  std::uint32_t kv_width() const { return kv_heads * head_dim; }
  bool Windowed(std::size_t layer) const {
    return window != 0 && layer % global_period != 0;
  }
  bool Rotates(std::size_t layer) const {
    return window == 0 || Windowed(layer);
  }
};

// Reads and checks the configuration of a `qwen3moe` model (Yang et al. 2025)
// or a `smallthinker` model (Song et al. 2025).
// Returns: kUnsupported (architecture or a variant of one, rope scaling),
// kCorrupt (a key missing, of the wrong type or out of range), naming the file
// and the key.
Result<ModelConfig> ReadModelConfig(const storage::GgufFile& gguf);

}  // namespace sluice

#endif  // SLUICE_ENGINE_MODEL_CONFIG_H_
