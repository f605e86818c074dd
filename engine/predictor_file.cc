#include "engine/predictor_file.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "storage/header_file.h"
#include "storage/xxh3.h"

namespace sluice {
namespace {

constexpr std::size_t kChecksumBytes = 8;
// The largest table: its pairs, and at most 2^20 popularities.
constexpr std::uint64_t kMostBytes =
    TransitionTable::kMostPairs + (std::uint64_t{4} << 20);

Error Bad(ErrorCode code, const std::string& path, const std::string& what) {
  return {code, fmt::format("{}: {}; make it with 'sluice train-predictor'",
                            path, what)};
}

bool ChecksumMatches(std::span<const std::byte> bytes) {
  const auto body = bytes.first(bytes.size() - kChecksumBytes);
  const std::uint64_t sum = storage::HashXxh3(body);
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    if (bytes[body.size() + i] != static_cast<std::byte>(sum >> (8 * i))) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<std::byte> EncodePredictorFile(const TransitionTable& table) {
  std::vector<std::byte> bytes = table.Serialize();
  const std::uint64_t sum = storage::HashXxh3(bytes);
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    bytes.push_back(static_cast<std::byte>(sum >> (8 * i)));
  }
  return bytes;
}

Result<TransitionTable> ReadPredictorFile(const std::string& path) {
  SLUICE_ASSIGN(storage::HeaderFile file, storage::HeaderFile::Open(path));
  if (file.file_bytes() < kChecksumBytes || file.file_bytes() > kMostBytes) {
    return tl::unexpected(
        Bad(ErrorCode::kCorrupt, path, "it is no predictor file"));
  }
  SLUICE_ASSIGN(const std::span<const std::byte> bytes,
                file.Read(file.file_bytes()));
  std::string problem;
  std::optional<TransitionTable> table = TransitionTable::Parse(
      bytes.first(bytes.size() - kChecksumBytes), problem);
  if (!table) return tl::unexpected(Bad(ErrorCode::kCorrupt, path, problem));
  if (!ChecksumMatches(bytes)) {
    return tl::unexpected(
        Bad(ErrorCode::kCorrupt, path, "its checksum does not match"));
  }
  return std::move(*table);
}

Result<void> CheckTable(const TransitionTable& table, const RouterShape& shape,
                        const std::string& path) {
  const RouterShape& learned = table.shape();
  if (learned == shape) return {};
  return tl::unexpected(
      Bad(ErrorCode::kInvalidArgument, path,
          fmt::format("it was learned from a model of {} layers with {} of {} "
                      "experts, and this one has {} with {} of {}",
                      learned.layers, learned.experts_used, learned.experts,
                      shape.layers, shape.experts_used, shape.experts)));
}

}  // namespace sluice
