// Offsets of the fields in the group blocks of kernels/rows8.h, for the
// routines that move weights and those that multiply them.
//
// Constants only: every instruction set's files may include it.
#ifndef SLUICE_KERNELS_ROWS8_FIELDS_H_
#define SLUICE_KERNELS_ROWS8_FIELDS_H_

#include <cstddef>

#include "kernels/quant_blocks.h"

namespace sluice::kernels {

struct FieldsQ8_0 {
  using Block = BlockQ8_0;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kQs = 16;
};

struct FieldsQ4_0 {
  using Block = BlockQ4_0;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kQs = 16;
};

struct FieldsQ4_1 {
  using Block = BlockQ4_1;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kM = 16;
  static constexpr std::size_t kQs = 32;
};

struct FieldsQ5_0 {
  using Block = BlockQ5_0;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kQh = 16;
  static constexpr std::size_t kQs = 48;
};

struct FieldsQ5_1 {
  using Block = BlockQ5_1;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kM = 16;
  static constexpr std::size_t kQh = 32;
  static constexpr std::size_t kQs = 64;
};

struct FieldsIQ4_NL {
  using Block = BlockIQ4_NL;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kQs = 16;
};

struct FieldsMXFP4 {
  using Block = BlockMXFP4;
  static constexpr std::size_t kE = 0;
  static constexpr std::size_t kQs = 8;
};

struct FieldsQ2_K {
  using Block = BlockQ2_K;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kDmin = 16;
  static constexpr std::size_t kScales = 32;
  static constexpr std::size_t kQs = 160;
};

struct FieldsQ3_K {
  using Block = BlockQ3_K;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kScales = 16;
  static constexpr std::size_t kHmask = 112;
  static constexpr std::size_t kQs = 368;
};

struct FieldsQ4_K {
  using Block = BlockQ4_K;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kDmin = 16;
  static constexpr std::size_t kScales = 32;
  static constexpr std::size_t kQs = 128;
};

struct FieldsQ5_K {
  using Block = BlockQ5_K;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kDmin = 16;
  static constexpr std::size_t kScales = 32;
  static constexpr std::size_t kQh = 128;
  static constexpr std::size_t kQs = 384;
};

struct FieldsQ6_K {
  using Block = BlockQ6_K;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kScales = 16;
  static constexpr std::size_t kQh = 144;
  static constexpr std::size_t kQl = 656;
};

struct FieldsIQ4_XS {
  using Block = BlockIQ4_XS;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kScalesH = 16;
  static constexpr std::size_t kScalesL = 32;
  static constexpr std::size_t kQs = 64;
};

struct FieldsTQ1_0 {
  using Block = BlockTQ1_0;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kQh = 16;
  static constexpr std::size_t kQs = 48;
};

struct FieldsTQ2_0 {
  using Block = BlockTQ2_0;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kQs = 16;
};

struct FieldsPlane2 {
  using Block = BlockPlane2;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kScales = 16;
  static constexpr std::size_t kQs = 144;
};

struct FieldsResidual2 {
  using Block = BlockResidual2;
  static constexpr std::size_t kD = 0;
  static constexpr std::size_t kQs = 16;
};

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ROWS8_FIELDS_H_
