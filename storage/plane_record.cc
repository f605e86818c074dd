#include "storage/plane_record.h"

#include <algorithm>

#include "storage/plane_parts.h"

namespace sluice::storage {
namespace {

constexpr std::size_t kParts = kPartNames.size();

std::size_t BytesOf(TensorType type, std::size_t columns) {
  return static_cast<std::size_t>(RowBytes(type, columns).value_or(0));
}

Result<void> WritePart(std::size_t part, std::span<const std::byte> bytes,
                       ContainerWriter& writer) {
  SLUICE_TRY(writer.BeginPart(part));
  while (!bytes.empty()) {
    const auto run = bytes.first(std::min(bytes.size(), kPieceBytes));
    bytes = bytes.subspan(run.size());
    SLUICE_ASSIGN(const auto out, writer.Claim(run.size()));
    std::ranges::copy(run, out.begin());
    writer.Append(out);
  }
  writer.EndPart(Codec::kStored);
  return {};
}

}  // namespace

Result<void> PlaneRecord::Take(const Piece& piece,
                               std::span<const std::byte> bytes,
                               ContainerWriter& writer) {
  const std::uint64_t record = piece.unit - plan_.dense.size();
  const std::uint64_t experts = plan_.index.header.experts;
  const auto parts = plan_.index.record_parts(static_cast<std::size_t>(record));
  std::vector<std::byte>& base = parts_[piece.part];
  std::vector<std::byte>& residual = parts_[kParts + piece.part];
  base.resize(static_cast<std::size_t>(parts[piece.part].raw_bytes));
  residual.resize(
      static_cast<std::size_t>(parts[kParts + piece.part].raw_bytes));
  const auto columns = static_cast<std::size_t>(piece.slice.columns);
  const auto row =
      static_cast<std::size_t>(piece.begin / piece.slice.row_bytes);
  fit_({.id = {static_cast<std::uint16_t>(record / experts),
               static_cast<std::uint16_t>(record % experts)},
        .part = piece.part,
        .type = piece.slice.type,
        .rows = bytes,
        .row_count = bytes.size() / piece.slice.row_bytes,
        .columns = columns,
        .base = base.data() + row * BytesOf(TensorType::kPlane2, columns),
        .residual =
            residual.data() + row * BytesOf(TensorType::kResidual2, columns)});
  if (!piece.is_last || piece.part + 1 < kParts) return {};
  return Write(writer);
}

Result<void> PlaneRecord::Write(ContainerWriter& writer) const {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    SLUICE_TRY(WritePart(i, parts_[i], writer));
  }
  return {};
}

}  // namespace sluice::storage
