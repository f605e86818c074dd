#include "storage/xxh3.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::storage {

struct Xxh3::State {
  XXH3_state_t state;
};

std::uint64_t HashXxh3(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Xxh3::Xxh3() : state_(std::make_unique<State>()) { Reset(); }
Xxh3::Xxh3(Xxh3&&) noexcept = default;
Xxh3& Xxh3::operator=(Xxh3&&) noexcept = default;
Xxh3::~Xxh3() = default;

void Xxh3::Reset() { XXH3_64bits_reset(&state_->state); }

void Xxh3::Update(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  XXH3_64bits_update(&state_->state, bytes.data(), bytes.size());
}

std::uint64_t Xxh3::Digest() const {
  return XXH3_64bits_digest(&state_->state);
}

}  // namespace sluice::storage
