#include "tests/support/container_builder.h"

#include <algorithm>
#include <cstring>

namespace sluice::test {
namespace {

using storage::MatrixLayout;
using storage::TensorType;

void InterleaveBlocks(TensorType type, const std::byte* rows,
                      std::size_t row_count, std::size_t columns,
                      std::byte* out) {
  const std::size_t block = storage::InfoOf(type).block_bytes;
  const std::size_t row_bytes = *storage::RowBytes(type, columns);
  for (std::size_t group = 0; group < row_count; group += 8) {
    for (std::size_t at = 0; at < row_bytes; at += block) {
      for (std::size_t row = group; row < group + 8; ++row) {
        std::memcpy(out, rows + row * row_bytes + at, block);
        out += block;
      }
    }
  }
}

bool Supports(TensorType type) {
  return storage::InfoOf(type).block_weights > 1 && type != TensorType::kQ8_0;
}

}  // namespace

storage::RowInterleaver BlockInterleaver() {
  return {.run = InterleaveBlocks, .supports = Supports};
}

Bytes Arranged(std::span<const std::byte> rows, TensorType type,
               std::uint64_t columns, MatrixLayout layout) {
  Bytes out(rows.begin(), rows.end());
  if (layout == MatrixLayout::kRows8) {
    InterleaveBlocks(type, rows.data(),
                     rows.size() / *storage::RowBytes(type, columns), columns,
                     out.data());
  }
  return out;
}

Bytes SmallModel(std::uint32_t layers) {
  GgufBuilder builder;
  builder.String("general.architecture", "small")
      .Uint32("small.block_count", layers)
      .StringArray("tokenizer.ggml.tokens", {"a", "b", "c"})
      .Tensor("output_norm.weight", TensorType::kF32, {64})
      .Tensor("token_embd.weight", TensorType::kQ4_0, {64, 16})
      .Tensor("blk.0.attn_q.weight", TensorType::kQ4_0, {64, 16})
      .Tensor("blk.0.attn_norm.weight", TensorType::kF32, {64})
      .Tensor("output.weight", TensorType::kQ8_0, {64, 24});
  AddExperts(builder, layers, 4, 64, 32,
             {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kQ5_0});
  return builder.File();
}

storage::RepackOptions SmallRepack(const std::string& input,
                                   const std::string& output) {
  storage::RepackOptions options;
  options.input = input;
  options.output = output;
  options.compress = storage::CompressRecords::kNever;
  options.interleaver = BlockInterleaver();
  options.device.kind = storage::DeviceKind::kMemory;
  return options;
}

}  // namespace sluice::test
