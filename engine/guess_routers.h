// Routers once more, in 8 bits: a look ahead applies the routers of the layers
// to come, whose floats are four times the bytes that a guess needs.
//
// Thread safety: free functions.
#ifndef SLUICE_ENGINE_GUESS_ROUTERS_H_
#define SLUICE_ENGINE_GUESS_ROUTERS_H_

#include <cstddef>

#include "engine/model_config.h"
#include "engine/products.h"
#include "storage/expert_store.h"

namespace sluice {

// Bytes of one layer's copy.
std::size_t GuessRouterBytes(const ModelConfig& config);

// A copy of `router` [experts, embedding] as Q8_0, at `data`, which has room
// for GuessRouterBytes and must outlive the result; `router` itself where it is
// quantised already or its rows are not whole blocks.
storage::MatrixView MakeGuessRouter(const Compute& compute,
                                    const storage::MatrixView& router,
                                    std::byte* data);

}  // namespace sluice

#endif  // SLUICE_ENGINE_GUESS_ROUTERS_H_
