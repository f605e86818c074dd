#include "predictor/transition_table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

constexpr std::string_view kMagic = "sluicetr";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kMostOf = 65536;  // layers, or experts of a layer

void Append(std::vector<std::byte>& bytes, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<std::byte>(value >> shift));
  }
}

// REQUIRES: four bytes at `offset`.
std::uint32_t Load(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i) {
    value |= std::to_integer<std::uint32_t>(bytes[offset + i]) << (8 * i);
  }
  return value;
}

bool HasMagic(std::span<const std::byte> bytes) {
  return bytes.size() >= kHeaderBytes &&
         std::equal(kMagic.begin(), kMagic.end(), bytes.begin(),
                    [](char c, std::byte b) { return std::byte(c) == b; });
}

bool Plausible(const RouterShape& shape) {
  return shape.layers > 0 && shape.layers <= kMostOf && shape.experts > 0 &&
         shape.experts <= kMostOf && shape.experts_used > 0 &&
         shape.experts_used <= shape.experts && TransitionTable::Fits(shape);
}

}  // namespace

TransitionTable::TransitionTable(const RouterShape& shape,
                                 std::vector<float> popularity,
                                 std::vector<std::int8_t> lift)
    : shape_(shape),
      popularity_(std::move(popularity)),
      lift_(std::move(lift)) {
  assert(popularity_.size() == shape.layers * shape.experts);
  assert(lift_.size() == popularity_.size() * shape.experts);
}

bool TransitionTable::Fits(const RouterShape& shape) {
  // At most 2^48, so the product does not overflow.
  return std::max(shape.layers, shape.experts) <= kMostOf &&
         shape.layers * shape.experts * shape.experts <= kMostPairs;
}

std::span<const float> TransitionTable::Popularity(std::uint16_t layer) const {
  return std::span(popularity_).subspan(layer * shape_.experts, shape_.experts);
}

std::span<const std::int8_t> TransitionTable::Lift(std::uint16_t layer,
                                                   std::uint16_t from) const {
  return std::span(lift_).subspan(
      (layer * shape_.experts + from) * shape_.experts, shape_.experts);
}

std::vector<std::byte> TransitionTable::Serialize() const {
  std::vector<std::byte> bytes;
  bytes.reserve(kHeaderBytes + 4 * popularity_.size() + lift_.size());
  for (const char c : kMagic) bytes.push_back(static_cast<std::byte>(c));
  Append(bytes, kVersion);
  for (const std::size_t size :
       {shape_.layers, shape_.experts, shape_.experts_used}) {
    Append(bytes, static_cast<std::uint32_t>(size));
  }
  for (const float p : popularity_) {
    Append(bytes, std::bit_cast<std::uint32_t>(p));
  }
  for (const std::int8_t lift : lift_) {
    bytes.push_back(static_cast<std::byte>(lift));
  }
  return bytes;
}

std::optional<TransitionTable> TransitionTable::Parse(
    std::span<const std::byte> bytes, std::string& problem) {
  const auto bad = [&problem](std::string what) {
    problem = std::move(what);
    return std::nullopt;
  };
  if (!HasMagic(bytes)) return bad("it is no transition table");
  if (const std::uint32_t version = Load(bytes, 8); version != kVersion) {
    return bad("its version is " + std::to_string(version) +
               " and this program reads version 1");
  }
  const RouterShape shape = {.layers = Load(bytes, 12),
                             .experts = Load(bytes, 16),
                             .experts_used = Load(bytes, 20)};
  if (!Plausible(shape)) return bad("its sizes are out of range");
  const std::size_t cells = shape.layers * shape.experts;
  if (bytes.size() != kHeaderBytes + 4 * cells + cells * shape.experts) {
    return bad("its length is not that of its sizes");
  }
  std::vector<float> popularity(cells);
  for (std::size_t i = 0; i < cells; ++i) {
    popularity[i] = std::bit_cast<float>(Load(bytes, kHeaderBytes + 4 * i));
    // Not a number fails both.
    if (!(popularity[i] > 0 && popularity[i] <= 1)) {
      return bad("a popularity is no probability");
    }
  }
  std::vector<std::int8_t> lift(cells * shape.experts);
  const auto lifts = bytes.subspan(kHeaderBytes + 4 * cells);
  std::transform(lifts.begin(), lifts.end(), lift.begin(), [](std::byte b) {
    return static_cast<std::int8_t>(std::to_integer<std::uint8_t>(b));
  });
  return TransitionTable(shape, std::move(popularity), std::move(lift));
}

}  // namespace sluice
