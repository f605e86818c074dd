// GgufBuilder: writes a GGUF header, and if wanted a whole file, in memory.
//
// Nothing is checked: a test can claim counts, types, offsets and shapes that
// no writer would, to see them refused. Tensors are placed one after another at
// the alignment unless a test gives an offset of its own.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_TESTS_SUPPORT_GGUF_BUILDER_H_
#define SLUICE_TESTS_SUPPORT_GGUF_BUILDER_H_

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/gguf.h"

namespace sluice::test {

using Bytes = std::vector<std::byte>;

// Appends the bytes of a number as they are in memory (little-endian).
template <typename T>
  requires std::integral<T> || std::floating_point<T>
void AppendNumber(Bytes& out, T value) {
  for (const std::byte byte : std::as_bytes(std::span(&value, 1))) {
    out.push_back(byte);
  }
}
// Appends a length of 64 bits and the characters.
void AppendString(Bytes& out, std::string_view text);

class GgufBuilder {
 public:
  // Fields of the preamble; counts are the true ones unless set.
  GgufBuilder& Magic(std::string_view magic);
  GgufBuilder& Version(std::uint32_t version);
  GgufBuilder& ClaimTensors(std::uint64_t count);
  GgufBuilder& ClaimKeys(std::uint64_t count);
  // The alignment tensors are placed at; the key is the test's to add.
  GgufBuilder& PlaceAt(std::uint64_t alignment);

  GgufBuilder& String(std::string_view key, std::string_view value);
  GgufBuilder& Uint32(std::string_view key, std::uint32_t value);
  // A value of any type, given as its bytes in the file.
  GgufBuilder& Raw(std::string_view key, std::uint32_t type,
                   std::span<const std::byte> value);
  template <typename T>
  GgufBuilder& Number(std::string_view key, storage::GgufType type, T value) {
    Bytes bytes;
    AppendNumber(bytes, value);
    return Raw(key, static_cast<std::uint32_t>(type), bytes);
  }
  // An array that claims `count` elements of `type`, whatever `elements` holds.
  GgufBuilder& RawArray(std::string_view key, std::uint32_t type,
                        std::uint64_t count,
                        std::span<const std::byte> elements);
  template <typename T>
  GgufBuilder& Array(std::string_view key, storage::GgufType type,
                     const std::vector<T>& values) {
    Bytes bytes;
    for (const T& value : values) AppendNumber(bytes, value);
    return RawArray(key, static_cast<std::uint32_t>(type), values.size(),
                    bytes);
  }
  GgufBuilder& StringArray(std::string_view key,
                           const std::vector<std::string>& values);

  // A tensor of `type`, with as many bytes of a pattern for its weights as its
  // shape needs (none when the type is unknown or the shape absurd).
  GgufBuilder& Tensor(std::string_view name, std::uint32_t type,
                      const std::vector<std::uint64_t>& shape,
                      std::optional<std::uint64_t> offset = std::nullopt);
  GgufBuilder& Tensor(std::string_view name, storage::TensorType type,
                      const std::vector<std::uint64_t>& shape,
                      std::optional<std::uint64_t> offset = std::nullopt) {
    return Tensor(name, static_cast<std::uint32_t>(type), shape, offset);
  }

  // Metadata and tensor directory, without padding.
  Bytes Header() const;
  // The header, padding and weights.
  Bytes File() const;
  // Bytes that File() has.
  std::uint64_t file_bytes() const;

 private:
  std::string magic_ = "GGUF";
  std::uint32_t version_ = 3;
  std::optional<std::uint64_t> claimed_tensors_;
  std::optional<std::uint64_t> claimed_keys_;
  std::uint64_t alignment_ = storage::kGgufDefaultAlignment;
  std::uint64_t keys_ = 0;
  std::uint64_t tensors_ = 0;
  Bytes metadata_;
  Bytes directory_;
  std::uint64_t data_bytes_ = 0;  // of the weights placed so far
};

// Adds gate, up and down experts for `layers` layers: `types` are the types of
// the three parts, the same in each layer.
void AddExperts(GgufBuilder& builder, std::uint32_t layers,
                std::uint32_t experts, std::uint32_t embedding,
                std::uint32_t feed_forward,
                std::array<storage::TensorType, 3> types);

// A folder of its own for one test, removed with everything in it.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string Path(std::string_view name) const;
  // Writes a file and returns its path.
  std::string Write(std::string_view name,
                    std::span<const std::byte> bytes) const;

 private:
  std::string path_;
};

// All bytes of a file; fails the test when it cannot be read.
Bytes ReadWholeFile(const std::string& path);

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_GGUF_BUILDER_H_
