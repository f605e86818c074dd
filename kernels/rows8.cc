#include "kernels/rows8.h"

#include <cstring>

#include "kernels/rows8_fields.h"
#include "kernels/rows8_moves.h"

namespace sluice::kernels {
namespace {

// Swaps the bits of x under `mask` with those `shift` above them; its own
// inverse.
constexpr std::uint32_t Swap(std::uint32_t x, std::uint32_t mask, int shift) {
  const std::uint32_t t = (x ^ x >> shift) & mask;
  return x ^ t ^ t << shift;
}

// Even bits to the lower half, odd bits to the upper one, in order; bit b goes
// to place b / 2 + 16 (b % 2).
constexpr std::uint32_t Unzip(std::uint32_t x) {
  x = Swap(x, 0x22222222, 1);
  x = Swap(x, 0x0C0C0C0C, 2);
  x = Swap(x, 0x00F000F0, 4);
  return Swap(x, 0x0000FF00, 8);
}
constexpr std::uint32_t Zip(std::uint32_t x) {
  x = Swap(x, 0x0000FF00, 8);
  x = Swap(x, 0x00F000F0, 4);
  x = Swap(x, 0x0C0C0C0C, 2);
  return Swap(x, 0x22222222, 1);
}

// To the group block's order of bits within a unit, and back.
constexpr std::uint32_t Enter(UnitBits bits, std::uint32_t x) {
  switch (bits) {
    case UnitBits::kAsTheyAre:
      return x;
    case UnitBits::kFifth:
      return Unzip(Unzip(x));
    case UnitBits::kScalesH:  // unzips eight pairs
      return Swap(Swap(x, 0x0C0C, 2), 0x00F0, 4);
    case UnitBits::kScalesL:  // zips eight nibbles
      return Swap(Swap(x, 0x0000FF00, 8), 0x00F000F0, 4);
  }
  return x;
}
constexpr std::uint32_t Leave(UnitBits bits, std::uint32_t x) {
  switch (bits) {
    case UnitBits::kAsTheyAre:
      return x;
    case UnitBits::kFifth:
      return Zip(Zip(x));
    case UnitBits::kScalesH:
      return Swap(Swap(x, 0x00F0, 4), 0x0C0C, 2);
    case UnitBits::kScalesL:
      return Swap(Swap(x, 0x00F000F0, 4), 0x0000FF00, 8);
  }
  return x;
}
static_assert(Enter(UnitBits::kFifth, 1U << (4 * 5 + 2)) == 1U << (8 * 2 + 5));
static_assert(Enter(UnitBits::kScalesH, 3U << 2 * 5) == 3U << (2 * 2 + 8));
static_assert(Enter(UnitBits::kScalesL, 15U << 4 * 6) == 15U << (8 * 2 + 4));

using F = Rows8Field;
constexpr F kMovesQ80[] = {{0, FieldsQ8_0::kD, 2, 1},
                           {2, FieldsQ8_0::kQs, 4, 8}};
constexpr F kMovesQ40[] = {{0, FieldsQ4_0::kD, 2, 1},
                           {2, FieldsQ4_0::kQs, 4, 4}};
constexpr F kMovesQ41[] = {{0, FieldsQ4_1::kD, 2, 1},
                           {2, FieldsQ4_1::kM, 2, 1},
                           {4, FieldsQ4_1::kQs, 4, 4}};
constexpr F kMovesQ50[] = {{0, FieldsQ5_0::kD, 2, 1},
                           {2, FieldsQ5_0::kQh, 4, 1, UnitBits::kFifth},
                           {6, FieldsQ5_0::kQs, 4, 4}};
constexpr F kMovesQ51[] = {{0, FieldsQ5_1::kD, 2, 1},
                           {2, FieldsQ5_1::kM, 2, 1},
                           {4, FieldsQ5_1::kQh, 4, 1, UnitBits::kFifth},
                           {8, FieldsQ5_1::kQs, 4, 4}};
constexpr F kMovesIq4Nl[] = {{0, FieldsIQ4_NL::kD, 2, 1},
                             {2, FieldsIQ4_NL::kQs, 4, 4}};
constexpr F kMovesMxfp4[] = {{0, FieldsMXFP4::kE, 1, 1},
                             {1, FieldsMXFP4::kQs, 4, 4}};
constexpr F kMovesQ2K[] = {{80, FieldsQ2_K::kD, 2, 1},
                           {82, FieldsQ2_K::kDmin, 2, 1},
                           {0, FieldsQ2_K::kScales, 4, 4},
                           {16, FieldsQ2_K::kQs, 4, 16}};
constexpr F kMovesQ3K[] = {{108, FieldsQ3_K::kD, 2, 1},
                           {96, FieldsQ3_K::kScales, 4, 3},
                           {0, FieldsQ3_K::kHmask, 4, 8},
                           {32, FieldsQ3_K::kQs, 4, 16}};
constexpr F kMovesQ4K[] = {{0, FieldsQ4_K::kD, 2, 1},
                           {2, FieldsQ4_K::kDmin, 2, 1},
                           {4, FieldsQ4_K::kScales, 4, 3},
                           {16, FieldsQ4_K::kQs, 4, 32}};
constexpr F kMovesQ5K[] = {{0, FieldsQ5_K::kD, 2, 1},
                           {2, FieldsQ5_K::kDmin, 2, 1},
                           {4, FieldsQ5_K::kScales, 4, 3},
                           {16, FieldsQ5_K::kQh, 4, 8},
                           {48, FieldsQ5_K::kQs, 4, 32}};
constexpr F kMovesQ6K[] = {{208, FieldsQ6_K::kD, 2, 1},
                           {192, FieldsQ6_K::kScales, 4, 4},
                           {128, FieldsQ6_K::kQh, 4, 16},
                           {0, FieldsQ6_K::kQl, 4, 32}};
constexpr F kMovesIq4Xs[] = {
    {0, FieldsIQ4_XS::kD, 2, 1},
    {2, FieldsIQ4_XS::kScalesH, 2, 1, UnitBits::kScalesH},
    {4, FieldsIQ4_XS::kScalesL, 4, 1, UnitBits::kScalesL},
    {8, FieldsIQ4_XS::kQs, 4, 32}};
constexpr F kMovesTq10[] = {{52, FieldsTQ1_0::kD, 2, 1},
                            {48, FieldsTQ1_0::kQh, 4, 1},
                            {0, FieldsTQ1_0::kQs, 4, 12}};
constexpr F kMovesTq20[] = {{64, FieldsTQ2_0::kD, 2, 1},
                            {0, FieldsTQ2_0::kQs, 4, 16}};

constexpr F kMovesPlane2[] = {{0, FieldsPlane2::kD, 2, 1},
                              {2, FieldsPlane2::kScales, 4, 4},
                              {18, FieldsPlane2::kQs, 4, 16}};
constexpr F kMovesResidual2[] = {{0, FieldsResidual2::kD, 2, 1},
                                 {2, FieldsResidual2::kQs, 4, 16}};

struct Entry {
  WeightType type;
  Rows8Format format;
};
constexpr Entry kFormats[] = {
    {WeightType::kQ8_0, {kBlock, sizeof(BlockQ8_0), kMovesQ80}},
    {WeightType::kQ4_0, {kBlock, sizeof(BlockQ4_0), kMovesQ40}},
    {WeightType::kQ4_1, {kBlock, sizeof(BlockQ4_1), kMovesQ41}},
    {WeightType::kQ5_0, {kBlock, sizeof(BlockQ5_0), kMovesQ50}},
    {WeightType::kQ5_1, {kBlock, sizeof(BlockQ5_1), kMovesQ51}},
    {WeightType::kIQ4_NL, {kBlock, sizeof(BlockIQ4_NL), kMovesIq4Nl}},
    {WeightType::kMXFP4, {kBlock, sizeof(BlockMXFP4), kMovesMxfp4}},
    {WeightType::kQ2_K, {kSuperBlock, sizeof(BlockQ2_K), kMovesQ2K}},
    {WeightType::kQ3_K, {kSuperBlock, sizeof(BlockQ3_K), kMovesQ3K}},
    {WeightType::kQ4_K, {kSuperBlock, sizeof(BlockQ4_K), kMovesQ4K}},
    {WeightType::kQ5_K, {kSuperBlock, sizeof(BlockQ5_K), kMovesQ5K}},
    {WeightType::kQ6_K, {kSuperBlock, sizeof(BlockQ6_K), kMovesQ6K}},
    {WeightType::kIQ4_XS, {kSuperBlock, sizeof(BlockIQ4_XS), kMovesIq4Xs}},
    {WeightType::kTQ1_0, {kSuperBlock, sizeof(BlockTQ1_0), kMovesTq10}},
    {WeightType::kTQ2_0, {kSuperBlock, sizeof(BlockTQ2_0), kMovesTq20}},
    {WeightType::kPlane2, {kSuperBlock, sizeof(BlockPlane2), kMovesPlane2}},
};
constexpr Rows8Format kResidual2 = {kSuperBlock, sizeof(BlockResidual2),
                                    kMovesResidual2};

// Every field follows the one before, and together they are all the bytes.
constexpr bool FieldsFillGroup(const Rows8Format& format) {
  std::size_t at = 0;
  for (const Rows8Field& field : format.fields) {
    if (field.to != at) return false;
    at += kRows8 * field.unit * field.count;
  }
  return at == kRows8 * format.block_bytes;
}
constexpr bool AllFill() {
  for (const Entry& entry : kFormats) {
    if (!FieldsFillGroup(entry.format)) return false;
  }
  return FieldsFillGroup(kResidual2);
}
static_assert(AllFill());

// Units of kUnit bytes between a block's bytes and every eighth unit.
template <std::size_t kUnit>
void Spread(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t u = 0; u < count; ++u) {
    std::memcpy(to + kRows8 * kUnit * u, from + kUnit * u, kUnit);
  }
}
template <std::size_t kUnit>
void Gather(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t u = 0; u < count; ++u) {
    std::memcpy(to + kUnit * u, from + kRows8 * kUnit * u, kUnit);
  }
}

void EnterBits(const Rows8Field& field, std::byte* unit) {
  std::uint32_t x = 0;
  std::memcpy(&x, unit, field.unit);
  x = Enter(field.bits, x);
  std::memcpy(unit, &x, field.unit);
}
void LeaveBits(const Rows8Field& field, std::byte* unit) {
  std::uint32_t x = 0;
  std::memcpy(&x, unit, field.unit);
  x = Leave(field.bits, x);
  std::memcpy(unit, &x, field.unit);
}

}  // namespace

const Rows8Format* FindRows8(WeightType type) {
  for (const Entry& entry : kFormats) {
    if (entry.type == type) return &entry.format;
  }
  return nullptr;
}

const Rows8Format& Residual2Rows8() { return kResidual2; }

void InterleaveBlocks(const Rows8Format& format, const std::byte* rows,
                      std::size_t row_bytes, std::byte* group) {
  for (const Rows8Field& field : format.fields) {
    for (std::size_t r = 0; r < kRows8; ++r) {
      const std::byte* from = rows + r * row_bytes + field.from;
      std::byte* to = group + field.to + r * field.unit;
      if (field.unit == 4) {
        Spread<4>(from, field.count, to);
      } else if (field.unit == 2) {
        Spread<2>(from, field.count, to);
      } else {
        Spread<1>(from, field.count, to);
      }
      if (field.bits != UnitBits::kAsTheyAre) EnterBits(field, to);
    }
  }
}

void DeinterleaveBlocks(const Rows8Format& format, const std::byte* group,
                        std::size_t row_bytes, std::byte* rows) {
  for (const Rows8Field& field : format.fields) {
    for (std::size_t r = 0; r < kRows8; ++r) {
      const std::byte* from = group + field.to + r * field.unit;
      std::byte* to = rows + r * row_bytes + field.from;
      if (field.unit == 4) {
        Gather<4>(from, field.count, to);
      } else if (field.unit == 2) {
        Gather<2>(from, field.count, to);
      } else {
        Gather<1>(from, field.count, to);
      }
      if (field.bits != UnitBits::kAsTheyAre) LeaveBits(field, to);
    }
  }
}

bool HasRows8(WeightType type) { return FindRows8(type) != nullptr; }

void InterleaveRows8(WeightType type, const std::byte* rows,
                     std::size_t row_bytes, std::size_t row_count,
                     std::size_t columns, std::byte* out) {
  const Rows8Format& format = *FindRows8(type);
  const std::size_t blocks = columns / format.block_weights;
  for (std::size_t r = 0; r < row_count; r += kRows8) {
    for (std::size_t b = 0; b < blocks; ++b) {
      InterleaveBlocks(format, rows + r * row_bytes + b * format.block_bytes,
                       row_bytes, out);
      out += kRows8 * format.block_bytes;
    }
  }
}

void DeinterleaveRows8(WeightType type, const std::byte* interleaved,
                       std::size_t row_bytes, std::size_t row_count,
                       std::size_t columns, std::byte* rows) {
  const Rows8Format& format = *FindRows8(type);
  const std::size_t blocks = columns / format.block_weights;
  for (std::size_t r = 0; r < row_count; r += kRows8) {
    for (std::size_t b = 0; b < blocks; ++b) {
      DeinterleaveBlocks(format, interleaved, row_bytes,
                         rows + r * row_bytes + b * format.block_bytes);
      interleaved += kRows8 * format.block_bytes;
    }
  }
}

}  // namespace sluice::kernels
