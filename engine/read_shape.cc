#include "engine/read_shape.h"

#include <cstdint>

#include "storage/probe_file.h"

namespace sluice {
namespace {

// All experts of a smaller file are read in a moment, whatever the shape.
constexpr std::uint64_t kLeastFileBytes = 16 << 20;

}  // namespace

std::optional<storage::FlashChoice> ReadShapeFor(
    const storage::ReadDevice& device, const storage::ReadShapeOptions& options,
    const std::string& probe_file) {
  if (device.file_sizes()[0] < kLeastFileBytes) return std::nullopt;
  const std::string key = storage::ProbeKey(options.path, device.name());
  if (auto choice = storage::RecallChoice(probe_file, key)) return choice;
  const auto measured = storage::ChooseReadShape(options);
  if (!measured) return std::nullopt;
  storage::RememberChoice(probe_file, key, *measured);
  return *measured;
}

}  // namespace sluice
