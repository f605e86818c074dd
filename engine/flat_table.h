// Flat hash tables for the vocabulary: open addressing, linear probing, no
// allocation per entry, filled once and then only read.
//
// The keys come from a model file, which nobody vouches for: Insert refuses
// after kMaxProbes steps, so that a file made of colliding keys costs an error
// and not hours.
//
// Thread safety: const methods may run concurrently.
#ifndef SLUICE_ENGINE_FLAT_TABLE_H_
#define SLUICE_ENGINE_FLAT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace sluice {

// A bijective 64-bit mixer (the finaliser of MurmurHash3).
inline std::uint64_t MixBits(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDULL;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53ULL;
  return x ^ (x >> 33);
}

inline std::uint64_t HashText(std::string_view text) {
  std::uint64_t hash = text.size() * 0x9E3779B97F4A7C15ULL;
  while (!text.empty()) {
    const std::size_t bytes = text.size() < 8 ? text.size() : 8;
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), bytes);
    hash = MixBits(hash ^ word);
    text.remove_prefix(bytes);
  }
  return hash;
}

// Slots of `Entry`; the caller says which entries are empty and equal.
template <typename Entry>
class FlatTable {
 public:
  // At this load a good hash needs a few hundred steps at worst for a million
  // keys; ten times that is an attack.
  static constexpr std::size_t kMaxProbes = 4096;

  // Room for `count` entries, three quarters full.
  FlatTable(std::size_t count, Entry empty)
      : slots_(count + count / 3 + 1, empty) {}

  // The slot that `matches`, or the empty slot where it belongs; null when
  // neither comes within kMaxProbes. `empty(slot)`, `matches(slot)`: bool.
  template <typename Empty, typename Matches>
  const Entry* Probe(std::uint64_t hash, const Empty& empty,
                     const Matches& matches) const {
    // The high half times the size, scaled down: any size, no division.
    std::size_t at = static_cast<std::size_t>(
        ((hash >> 32) * static_cast<std::uint64_t>(slots_.size())) >> 32);
    for (std::size_t step = 0; step < kMaxProbes; ++step) {
      const Entry& slot = slots_[at];
      if (empty(slot) || matches(slot)) return &slot;
      if (++at == slots_.size()) at = 0;
    }
    return nullptr;
  }

  // Writes a slot that Probe returned.
  void Store(const Entry* slot, const Entry& entry) {
    slots_[static_cast<std::size_t>(slot - slots_.data())] = entry;
  }

  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Entry); }

 private:
  std::vector<Entry> slots_;
};

}  // namespace sluice

#endif  // SLUICE_ENGINE_FLAT_TABLE_H_
