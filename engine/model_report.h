// ModelReport: what a model file says of itself. Part of the library's public
// interface; programs include engine/sluice.h.
//
// Thread safety: values.
#ifndef SLUICE_ENGINE_MODEL_REPORT_H_
#define SLUICE_ENGINE_MODEL_REPORT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

struct TensorSummary {
  std::string name;
  std::string type;                  // "Q4_0"
  std::vector<std::uint64_t> shape;  // contiguous dimension first
  std::uint64_t bytes = 0;
  std::string file;
  std::uint64_t offset = 0;
};

// What `inspect` shows; nothing but the header is read.
struct ModelReport {
  std::string architecture;  // general.architecture
  std::string name;          // general.name, may be empty
  std::string container;     // "GGUF v3"
  std::uint32_t layers = 0;
  std::uint32_t embedding = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t experts = 0;
  std::uint32_t experts_used = 0;
  std::uint32_t expert_ff = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t context = 0;
  // The router reads the layer's input: experts are known before attention.
  bool routes_before_attention = false;
  std::uint32_t sliding_window = 0;    // positions; 0: every layer sees all
  std::uint32_t windowed_layers = 0;   // layers that have the window
  std::uint64_t file_bytes = 0;        // of all files
  std::uint64_t dense_bytes = 0;       // tensors that stay resident
  std::uint64_t expert_bytes = 0;      // of all experts
  std::uint64_t bytes_per_expert = 0;  // the largest
  std::vector<std::pair<std::string, std::string>> metadata;  // printable
  std::vector<TensorSummary> tensors;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_MODEL_REPORT_H_
