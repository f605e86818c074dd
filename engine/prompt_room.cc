#include "engine/prompt_room.h"

#include <algorithm>

#include "engine/workspace.h"

namespace sluice {
namespace {

// Longer ones gain nothing, and progress is reported by the layer.
constexpr std::size_t kMostChunk = 1 << 15;

std::size_t SlotsFor(const ModelConfig& config, const PromptRoomLimits& limits,
                     std::size_t chunk) {
  const std::size_t bytes = Workspace::Bytes(config, chunk);
  return (bytes + limits.slot_bytes - 1) / limits.slot_bytes;
}

std::size_t MostLent(const ModelConfig& config,
                     const PromptRoomLimits& limits) {
  if (limits.slots <= config.experts_used) return 0;
  return std::min(limits.slots / 2, limits.slots - config.experts_used);
}

// The longest chunk up to `most` that `slots` hold; 0: none.
std::size_t LongestChunk(const ModelConfig& config,
                         const PromptRoomLimits& limits, std::size_t slots,
                         std::size_t most) {
  std::size_t fits = 0;
  for (std::size_t above = most + 1; fits + 1 < above;) {
    const std::size_t chunk = fits + (above - fits) / 2;
    (SlotsFor(config, limits, chunk) <= slots ? fits : above) = chunk;
  }
  return fits;
}

}  // namespace

PromptRoom RoomForPrompt(const ModelConfig& config,
                         const PromptRoomLimits& limits, std::size_t tokens) {
  const PromptRoom standing = {.chunk =
                                   std::min(limits.standing_chunk, tokens)};
  if (tokens <= limits.standing_chunk || limits.slots == 0) return standing;
  const std::size_t longest = LongestChunk(
      config, limits, MostLent(config, limits), std::min(tokens, kMostChunk));
  if (longest <= limits.standing_chunk) return standing;
  const std::size_t chunks = (tokens + longest - 1) / longest;
  const std::size_t chunk = (tokens + chunks - 1) / chunks;
  if (chunk <= limits.standing_chunk) return standing;
  return {.chunk = chunk, .lent_slots = SlotsFor(config, limits, chunk)};
}

}  // namespace sluice
