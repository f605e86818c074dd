#include "engine/read_shape.h"

#include "storage/probe_file.h"

namespace sluice {
namespace {

// All experts of a smaller file are read in a moment, whatever the shape.
constexpr std::uint64_t kLeastFileBytes = 16 << 20;

}  // namespace

std::optional<storage::FlashChoice> ReadShapeFor(
    const storage::ReadDevice& device, storage::DeviceKind kind,
    const std::string& probe_file, std::uint64_t most_bytes) {
  if (device.file_sizes()[0] < kLeastFileBytes) return std::nullopt;
  const std::string& path = device.paths()[0];
  const std::string key = storage::ProbeKey(path, device.name());
  if (auto choice = storage::RecallChoice(probe_file, key)) return choice;
  const auto measured = storage::ChooseReadShape(path, kind, most_bytes);
  if (!measured) return std::nullopt;
  // With less memory not every shape was tried: good for this time only.
  if (most_bytes >= storage::kReadShapeBytes) {
    storage::RememberChoice(probe_file, key, *measured);
  }
  return *measured;
}

}  // namespace sluice
