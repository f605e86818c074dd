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

  std::uint32_t q_width() const { return heads * head_dim; }
  std::uint32_t kv_width() const { return kv_heads * head_dim; }
};

// Reads and checks the configuration. Only `qwen3moe` is known.
// Returns: kUnsupported (architecture, rope scaling), kCorrupt (a key missing,
// of the wrong type or out of range), naming the file and the key.
Result<ModelConfig> ReadModelConfig(const storage::GgufFile& gguf);

}  // namespace sluice

#endif  // SLUICE_ENGINE_MODEL_CONFIG_H_
