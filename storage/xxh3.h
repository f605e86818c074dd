// XXH3: the 64-bit checksum of the container format (seed 0), at once or in
// pieces.
//
// The header of libxxhash is compiled in, so that the hash of this build does
// not depend on the library of the machine that runs it.
//
// Thread safety: a Xxh3 is thread-compatible; the function is pure.
#ifndef SLUICE_STORAGE_XXH3_H_
#define SLUICE_STORAGE_XXH3_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace sluice::storage {

std::uint64_t HashXxh3(std::span<const std::byte> bytes);

class Xxh3 {
 public:
  Xxh3();
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;
  ~Xxh3();

  void Reset();
  void Update(std::span<const std::byte> bytes);
  // Of all bytes since construction or Reset; more may follow.
  std::uint64_t Digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_XXH3_H_
