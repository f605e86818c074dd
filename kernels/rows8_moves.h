// What moves where between eight blocks and their group block: the tables of
// kernels/rows8.h as data, and the loops over them. Internal to the rows8_*.cc
// files built without instruction set flags.
#ifndef SLUICE_KERNELS_ROWS8_MOVES_H_
#define SLUICE_KERNELS_ROWS8_MOVES_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernel_table.h"

namespace sluice::kernels {

// The fields whose bits move within a unit.
enum class UnitBits : std::uint8_t { kAsTheyAre, kFifth, kScalesH, kScalesL };

struct Rows8Field {
  std::uint16_t from;  // byte in a block
  std::uint16_t to;    // byte in the group block
  std::uint16_t unit;  // bytes: 1, 2 or 4
  std::uint16_t count;
  UnitBits bits = UnitBits::kAsTheyAre;
};

// Null where there is no such layout.
struct Rows8Format {
  std::size_t block_weights;
  std::size_t block_bytes;
  std::span<const Rows8Field> fields;
};
const Rows8Format* FindRows8(WeightType type);
// Of the residual plane, which has no weight type of its own.
const Rows8Format& Residual2Rows8();

// One group block from the blocks at `rows`, `row_bytes` apart.
void InterleaveBlocks(const Rows8Format& format, const std::byte* rows,
                      std::size_t row_bytes, std::byte* group);
// The inverse.
void DeinterleaveBlocks(const Rows8Format& format, const std::byte* group,
                        std::size_t row_bytes, std::byte* rows);

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_MOVES_H_
