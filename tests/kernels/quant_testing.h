// Quantised weights and activations for the kernel tests: every type, random or
// chosen to provoke saturation. Deterministic.
#ifndef SLUICE_TESTS_KERNELS_QUANT_TESTING_H_
#define SLUICE_TESTS_KERNELS_QUANT_TESTING_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace sluice::kernels {

struct QuantType {
  WeightType type;
  const char* name;
  std::size_t block;        // weights
  std::size_t bytes;        // of a block
  std::size_t half_offset;  // of its first binary16, where halves > 0
  std::size_t halves;
};

inline constexpr QuantType kQuantTypes[] = {
    {WeightType::kQ8_0, "Q8_0", 32, 34, 0, 1},
    {WeightType::kQ4_0, "Q4_0", 32, 18, 0, 1},
    {WeightType::kQ4_1, "Q4_1", 32, 20, 0, 2},
    {WeightType::kQ5_0, "Q5_0", 32, 22, 0, 1},
    {WeightType::kQ5_1, "Q5_1", 32, 24, 0, 2},
    {WeightType::kIQ4_NL, "IQ4_NL", 32, 18, 0, 1},
    {WeightType::kMXFP4, "MXFP4", 32, 17, 0, 0},
    {WeightType::kQ2_K, "Q2_K", 256, 84, 80, 2},
    {WeightType::kQ3_K, "Q3_K", 256, 110, 108, 1},
    {WeightType::kQ4_K, "Q4_K", 256, 144, 0, 2},
    {WeightType::kQ5_K, "Q5_K", 256, 176, 0, 2},
    {WeightType::kQ6_K, "Q6_K", 256, 210, 208, 1},
    {WeightType::kIQ4_XS, "IQ4_XS", 256, 136, 0, 1},
    {WeightType::kTQ1_0, "TQ1_0", 256, 54, 52, 1},
    {WeightType::kTQ2_0, "TQ2_0", 256, 66, 64, 1},
    {WeightType::kPlane2, "PLANE2", 256, 82, 0, 1},
};

inline std::size_t Index(WeightType type) {
  return static_cast<std::size_t>(type);
}

// Every table that runs here, the scalar one first.
inline std::vector<KernelTable> QuantTables() {
  std::vector<KernelTable> tables;
  for (const KernelTable* table : AvailableTables(DetectCpuFeatures())) {
    tables.insert(tables.begin(), *table);
  }
  return tables;
}

enum class Pattern {
  kRandom,    // any bytes
  kAllOnes,   // 0xFF: the largest nibbles and scales
  kLowest,    // 0x80: -128 in Q8_0
  kExtremes,  // bytes drawn from the ends of their ranges
};
inline constexpr Pattern kPatterns[] = {Pattern::kRandom, Pattern::kAllOnes,
                                        Pattern::kLowest, Pattern::kExtremes};

// Blocks with the pattern in all integer fields and moderate finite float
// scales of either sign.
inline std::vector<std::byte> MakeWeights(const QuantType& type,
                                          std::size_t blocks, Pattern pattern,
                                          std::mt19937& rng) {
  constexpr std::uint8_t kEnds[] = {0x00, 0xFF, 0x80, 0x7F, 0x88,
                                    0x77, 0xF0, 0x0F, 0x01, 0xC0};
  std::vector<std::byte> out(blocks * type.bytes);
  for (std::byte& byte : out) {
    switch (pattern) {
      case Pattern::kRandom:
        byte = std::byte(rng() & 255);
        break;
      case Pattern::kAllOnes:
        byte = std::byte{255};
        break;
      case Pattern::kLowest:
        byte = std::byte{128};
        break;
      case Pattern::kExtremes:
        byte = std::byte(kEnds[rng() % 10]);
        break;
    }
  }
  for (std::size_t b = 0; b < blocks; ++b) {
    std::byte* block = out.data() + b * type.bytes;
    if (type.halves == 0) block[0] = std::byte(110 + rng() % 30);
    for (std::size_t h = 0; h < type.halves; ++h) {
      // Exponents 2^-11 .. 2^4, now and then a subnormal.
      std::uint32_t half = (4 + rng() % 16) << 10 | (rng() & 0x83FF);
      if (rng() % 16 == 0) half = rng() & 0x83FF;
      std::memcpy(block + type.half_offset + 2 * h, &half, 2);
    }
  }
  return out;
}

enum class Inputs { kNormal, kPositive, kNegative, kAlternating, kSparse };
inline constexpr Inputs kInputs[] = {Inputs::kNormal, Inputs::kPositive,
                                     Inputs::kNegative, Inputs::kAlternating,
                                     Inputs::kSparse};

// Floats whose quantised values are random, or +-127 throughout.
inline std::vector<float> MakeInputs(std::size_t n, Inputs inputs,
                                     std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    switch (inputs) {
      case Inputs::kNormal:
        x[i] = normal(rng);
        break;
      case Inputs::kPositive:
        x[i] = 1.5F;
        break;
      case Inputs::kNegative:
        x[i] = -1.5F;
        break;
      case Inputs::kAlternating:
        x[i] = i % 2 != 0 ? 3.0F : -3.0F;
        break;
      case Inputs::kSparse:
        x[i] = rng() % 300 == 0 ? normal(rng) : 0.0F;
        break;
    }
  }
  return x;
}

// Records of several tokens, at a stride, aligned to 64 bytes.
class Records {
 public:
  Records(const KernelTable& table, ActivationFormat format,
          std::size_t columns, std::size_t tokens)
      : table_(&table),
        format_(format),
        columns_(columns),
        stride_(ActivationBytes(format, columns)),
        storage_(tokens * stride_ + 64) {}
  void Set(std::size_t token, std::span<const float> x) {
    table_->quantize[static_cast<std::size_t>(format_)](x.data(), columns_,
                                                        at(token));
  }
  std::size_t stride() const { return stride_; }
  std::byte* at(std::size_t token) {
    void* start = storage_.data();
    std::size_t space = storage_.size();
    std::align(64, storage_.size() - 64, start, space);
    return static_cast<std::byte*>(start) + token * stride_;
  }

 private:
  const KernelTable* table_;
  ActivationFormat format_;
  std::size_t columns_;
  std::size_t stride_;
  std::vector<std::byte> storage_;
};

}  // namespace sluice::kernels

#endif  // SLUICE_TESTS_KERNELS_QUANT_TESTING_H_
