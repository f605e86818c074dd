// Interleaving of weights that stay in memory: rows as a GGUF has them become
// the layout of kernels/rows8.h, which products read faster and which gives the
// same bits. A container has them so already.
//
// Thread safety: free functions.
#ifndef SLUICE_ENGINE_INTERLEAVE_H_
#define SLUICE_ENGINE_INTERLEAVE_H_

#include <cstddef>

#include "engine/products.h"
#include "storage/expert_store.h"

namespace sluice {

// Whether `matrix` has rows one by one that are better interleaved: quantised,
// in whole groups, with products written for that layout.
bool IsWorthInterleaving(const Compute& compute,
                         const storage::MatrixView& matrix);

// Rearranges the rows of `matrix`, whose bytes begin at `data`, where they are,
// and says so in `matrix`. Does nothing where it is not worth it.
// REQUIRES: data == matrix.data, and no other view of these bytes is in use.
void InterleaveInPlace(const Compute& compute, std::byte* data,
                       storage::MatrixView& matrix);

}  // namespace sluice

#endif  // SLUICE_ENGINE_INTERLEAVE_H_
