// Help for the tests of containers: a stand-in for the kernels' interleaver,
// and the bytes that a container must hold.
//
// Thread safety: functions of their arguments.
#ifndef SLUICE_TESTS_SUPPORT_CONTAINER_BUILDER_H_
#define SLUICE_TESTS_SUPPORT_CONTAINER_BUILDER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/container_plan.h"
#include "storage/repack.h"
#include "tests/support/gguf_builder.h"

namespace sluice::test {

// Rearranges whole blocks and leaves their fields alone: block b of the eight
// rows of a group, then block b + 1. Knows every type of blocks but Q8_0.
storage::RowInterleaver BlockInterleaver();

// `rows` as a container holds them in `layout`.
Bytes Arranged(std::span<const std::byte> rows, storage::TensorType type,
               std::uint64_t columns, storage::MatrixLayout layout);

// A GGUF of `layers` layers of four small experts and some dense tensors, some
// of whose weights zstd can compress.
Bytes SmallModel(std::uint32_t layers = 2);

// Uncompressed, interleaved, through the memory device.
storage::RepackOptions SmallRepack(const std::string& input,
                                   const std::string& output);

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_CONTAINER_BUILDER_H_
