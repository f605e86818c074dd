#include "storage/plane_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "storage/header_file.h"
#include "storage/tensor_type.h"

namespace sluice::storage {
namespace {

constexpr std::size_t kParts = kPartNames.size();

bool Is(const PartEntry& part, TensorType type) {
  return part.type == static_cast<std::uint32_t>(type) &&
         part.layout == static_cast<std::uint32_t>(MatrixLayout::kRows8) &&
         Codec{part.codec} == Codec::kStored;
}

bool IsPlaneType(const PartEntry& part) {
  return !InGguf(TensorType{part.type});
}

// Whether `part` is the residual of `base`.
bool Completes(const PartEntry& part, const PartEntry& base) {
  const auto bytes = RowBytes(TensorType::kResidual2, base.columns);
  return Is(part, TensorType::kResidual2) && part.kind == base.kind &&
         part.level == 1 && part.flags == kPartOptional &&
         part.rows == base.rows && part.columns == base.columns && bytes &&
         part.raw_bytes == *bytes * base.rows &&
         part.stored_bytes == part.raw_bytes &&
         part.offset % PartAlignment(part) == 0;
}

bool Fits(std::span<const PartEntry> parts) {
  if (std::ranges::none_of(parts.first(kParts), IsPlaneType)) return true;
  if (parts.size() != kPlaneParts) return false;
  for (std::size_t i = 0; i < kParts; ++i) {
    if (!Is(parts[i], TensorType::kPlane2) ||
        !Completes(parts[kParts + i], parts[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool HasPlanes(std::span<const PartEntry> parts) {
  return parts[0].type == static_cast<std::uint32_t>(TensorType::kPlane2);
}

std::string PartName(const PartEntry& part, std::size_t number) {
  if (number < kParts) return std::string(kPartNames[number]);
  if (part.type != static_cast<std::uint32_t>(TensorType::kResidual2)) {
    return fmt::format("part {}", number);
  }
  return fmt::format("{} of the residual plane", kPartNames[number - kParts]);
}

Result<void> CheckPlanes(const ContainerIndex& index, const std::string& path) {
  for (const DenseEntry& entry : index.dense) {
    if (InGguf(TensorType{entry.type})) continue;
    return Fail(
        ErrorCode::kCorrupt,
        fmt::format("{}: index: tensor {} has type {}, which only "
                    "experts have; the file is damaged",
                    OneLine(path), OneLine(index.name(entry)), entry.type));
  }
  for (std::size_t i = 0; i < index.records.size(); ++i) {
    const auto parts = index.record_parts(i);
    if (Fits(parts) && HasPlanes(parts) == HasPlanes(index.record_parts(0))) {
      continue;
    }
    return Fail(
        ErrorCode::kCorrupt,
        fmt::format("{}: index: record of layer {}, expert {}: its parts are "
                    "not gate, up and down of a base plane and a residual "
                    "plane; the file is damaged: repack the model or copy it "
                    "again",
                    OneLine(path), i / index.header.experts,
                    i % index.header.experts));
  }
  return {};
}

}  // namespace sluice::storage
