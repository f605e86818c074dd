// Chunk: tokens that go through the layers together.
//
// Thread safety: a value.
#ifndef SLUICE_ENGINE_CHUNK_H_
#define SLUICE_ENGINE_CHUNK_H_

#include <cstddef>

namespace sluice {

struct Chunk {
  std::size_t position = 0;  // of its first token in the context
  std::size_t tokens = 0;
  // Its last tokens, whose hidden states are wanted: none to all of them. The
  // others leave keys and values.
  std::size_t outputs = 0;

  std::size_t skipped() const { return tokens - outputs; }
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_CHUNK_H_
