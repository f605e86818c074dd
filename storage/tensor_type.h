// TensorType: the storage formats of weights, numbered as in GGUF, with their
// block geometry. The one list that readers, kernels and tests share the
// numbers of.
//
// Thread safety: values and pure functions.
#ifndef SLUICE_STORAGE_TENSOR_TYPE_H_
#define SLUICE_STORAGE_TENSOR_TYPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::storage {

enum class TensorType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  // Of containers alone, outside GGUF's numbers: the planes of nested weights
  // (storage/FORMAT.md, section 10).
  kPlane2 = 60,
  kResidual2 = 61,
};

// How the rows of a matrix lie in memory, numbered as in storage/FORMAT.md.
enum class MatrixLayout : std::uint32_t {
  kRows = 0,   // row after row, as in a GGUF
  kRows8 = 1,  // eight rows at a time, block column by block column
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;        // "Q4_0", as llama.cpp prints it
  std::uint32_t block_weights;  // weights per block
  std::uint32_t block_bytes;
};

inline constexpr TensorTypeInfo kTensorTypes[] = {
    {TensorType::kF32, "F32", 1, 4},
    {TensorType::kF16, "F16", 1, 2},
    {TensorType::kBF16, "BF16", 1, 2},
    {TensorType::kQ8_0, "Q8_0", 32, 34},
    {TensorType::kQ4_0, "Q4_0", 32, 18},
    {TensorType::kQ4_1, "Q4_1", 32, 20},
    {TensorType::kQ5_0, "Q5_0", 32, 22},
    {TensorType::kQ5_1, "Q5_1", 32, 24},
    {TensorType::kQ2_K, "Q2_K", 256, 84},
    {TensorType::kQ3_K, "Q3_K", 256, 110},
    {TensorType::kQ4_K, "Q4_K", 256, 144},
    {TensorType::kQ5_K, "Q5_K", 256, 176},
    {TensorType::kQ6_K, "Q6_K", 256, 210},
    {TensorType::kIQ4_NL, "IQ4_NL", 32, 18},
    {TensorType::kIQ4_XS, "IQ4_XS", 256, 136},
    {TensorType::kMXFP4, "MXFP4", 32, 17},
    {TensorType::kTQ1_0, "TQ1_0", 256, 54},
    {TensorType::kTQ2_0, "TQ2_0", 256, 66},
    {TensorType::kPlane2, "PLANE2", 256, 82},
    {TensorType::kResidual2, "RESIDUAL2", 256, 66},
};

// Whether a GGUF, and a dense tensor, may have the type.
constexpr bool InGguf(TensorType type) {
  return type != TensorType::kPlane2 && type != TensorType::kResidual2;
}

// Null for a number that is not in the list.
constexpr const TensorTypeInfo* FindTensorType(std::uint32_t number) {
  for (const TensorTypeInfo& info : kTensorTypes) {
    if (static_cast<std::uint32_t>(info.type) == number) return &info;
  }
  return nullptr;
}

constexpr const TensorTypeInfo& InfoOf(TensorType type) {
  return *FindTensorType(static_cast<std::uint32_t>(type));
}

// Bytes of a row of `columns` weights; none when it is not whole blocks.
constexpr std::optional<std::uint64_t> RowBytes(TensorType type,
                                                std::uint64_t columns) {
  const TensorTypeInfo& info = InfoOf(type);
  if (columns % info.block_weights != 0) return std::nullopt;
  return columns / info.block_weights * info.block_bytes;
}

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_TENSOR_TYPE_H_
