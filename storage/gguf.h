// GgufFile: the metadata and tensor directory of a GGUF model, v2 or v3,
// little-endian, single or split (`-00001-of-0000N.gguf`).
//
// A GGUF is untrusted input: every count, length, offset, type and product of
// dimensions is checked before it is used, and a file that breaks a rule is
// refused with one line naming the file, the place and the rule. Weights are
// never mapped or read here; only the header is, through reads that leave
// nothing behind in the page cache.
//
// Spec: the GGUF specification of the ggml project (docs/gguf.md). Version 1
// and big-endian files are refused, and so are arrays of arrays.
//
// Thread safety: immutable after Open; const methods may run concurrently.
#ifndef SLUICE_STORAGE_GGUF_H_
#define SLUICE_STORAGE_GGUF_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/result.h"
#include "storage/tensor_type.h"

namespace sluice::storage {

// What a header may claim at most. Each is far above any real model (a
// vocabulary of 262 144 tokens makes a header of about 16 MB; the largest MoE
// has some thousands of tensors) and low enough that a hostile header costs
// little. The lengths of keys and names and the dimensions are the spec's own.
inline constexpr std::uint64_t kGgufMaxHeaderBytes = std::uint64_t{128} << 20;
inline constexpr std::uint64_t kGgufMaxKeys = std::uint64_t{1} << 16;
inline constexpr std::uint64_t kGgufMaxTensors = std::uint64_t{1} << 18;
inline constexpr std::uint64_t kGgufMaxKeyBytes = 65535;
inline constexpr std::uint64_t kGgufMaxNameBytes = 64;
inline constexpr std::uint64_t kGgufMaxStringBytes = std::uint64_t{16} << 20;
inline constexpr std::uint32_t kGgufMaxDimensions = 4;
// Keeps every later product, in weights or in bytes, within 64 bits.
inline constexpr std::uint64_t kGgufMaxElements = std::uint64_t{1} << 60;
inline constexpr std::uint64_t kGgufDefaultAlignment = 32;
inline constexpr std::uint64_t kGgufMaxAlignment = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGgufMaxParts = 4096;

// Metadata value types, numbered as in the file.
enum class GgufType : std::uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// One metadata value: a typed window on the header bytes that GgufFile owns.
class GgufValue {
 public:
  GgufType type() const { return type_; }
  // Element type and count; only for kArray. Arrays of arrays are refused by
  // the reader (kUnsupported): no model uses them.
  GgufType element_type() const { return element_type_; }
  std::size_t size() const { return count_; }
  // The value as it is in the file, without the length of a string and without
  // the element type and count of an array.
  std::span<const std::byte> payload() const { return payload_; }

  // Converts between integer widths when the value fits; no other conversion
  // but float32 <-> float64. None when the type does not match.
  std::optional<std::uint64_t> AsUint() const;
  std::optional<std::int64_t> AsInt() const;
  std::optional<double> AsFloat() const;
  std::optional<bool> AsBool() const;
  std::optional<std::string_view> AsString() const;

  // Arrays. The whole array, converted like AsUint etc.; none on a mismatch.
  std::optional<std::vector<std::uint64_t>> AsUintArray() const;
  std::optional<std::vector<std::int64_t>> AsIntArray() const;
  std::optional<std::vector<float>> AsFloatArray() const;
  // Calls visit(index, string) for each element of a string array, in order,
  // without copying. False when this is not a string array.
  template <typename Visit>
  bool ForEachString(Visit&& visit) const {
    if (type_ != GgufType::kArray || element_type_ != GgufType::kString) {
      return false;
    }
    std::size_t at = 0;
    for (std::size_t i = 0; i < count_; ++i) visit(i, NextString(at));
    return true;
  }

 private:
  friend class GgufParser;
  // The string at byte `at` of an array of strings; advances `at` past it.
  std::string_view NextString(std::size_t& at) const;

  GgufType type_ = GgufType::kUint8;
  GgufType element_type_ = GgufType::kUint8;
  std::size_t count_ = 0;               // elements of an array, else 1
  std::span<const std::byte> payload_;  // checked to be complete
};

struct GgufTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  // ne[0] is the contiguous dimension (columns), as GGUF lists them; unused
  // dimensions are 1.
  std::array<std::uint64_t, 4> ne = {1, 1, 1, 1};
  std::uint32_t file = 0;    // index into paths()
  std::uint64_t offset = 0;  // absolute, bytes from the start of that file
  std::uint64_t bytes = 0;   // exact
  // Only a tensor of a container has another layout, and a checksum (XXH3 of
  // its bytes in the file).
  MatrixLayout layout = MatrixLayout::kRows;
  std::optional<std::uint64_t> checksum = {};

  std::uint64_t elements() const { return ne[0] * ne[1] * ne[2] * ne[3]; }
};

class GgufFile {
 public:
  // Opens `path` and, when it is the first of a split set, the rest of the set.
  // Returns: kNotFound, kPermission, kIo, kCorrupt, kUnsupported;
  // kInvalidArgument (a directory or device, a split set's later part).
  static Result<GgufFile> Open(const std::string& path);

  // Parses a header held in memory, as Open does for one unsplit file of
  // `file_bytes` bytes whose first bytes are `header`; for tests and fuzzing.
  static Result<GgufFile> Parse(std::span<const std::byte> header,
                                std::uint64_t file_bytes,
                                const std::string& path);

  // The model of a container at `path`: the keys of `headers` (each a whole
  // GGUF header without tensors), one after the other, and `tensors`, which the
  // caller has checked to lie within the `file_bytes` bytes of the container.
  // Returns: kCorrupt (also a key or tensor that is there twice),
  // kUnsupported.
  static Result<GgufFile> FromContainer(
      std::span<const std::span<const std::byte>> headers,
      std::vector<GgufTensor> tensors, std::uint64_t file_bytes,
      const std::string& path);

  // Movable only: values and names view the header bytes held here.
  GgufFile(GgufFile&&) = default;
  GgufFile& operator=(GgufFile&&) = default;
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;
  ~GgufFile() = default;

  std::uint32_t version() const { return version_; }
  // The bytes of each file up to the padding before its weights.
  std::span<const std::vector<std::byte>> headers() const { return headers_; }
  std::span<const std::string> paths() const { return paths_; }
  std::span<const std::uint64_t> file_bytes() const { return file_bytes_; }

  // Null when absent.
  const GgufValue* Find(std::string_view key) const;
  const GgufTensor* FindTensor(std::string_view name) const;
  std::span<const GgufTensor> tensors() const { return tensors_; }
  // Keys in file order, with their values.
  std::span<const std::pair<std::string, GgufValue>> metadata() const {
    return metadata_;
  }

 private:
  friend class GgufReader;
  GgufFile() = default;

  std::uint32_t version_ = 0;
  std::vector<std::string> paths_;
  std::vector<std::uint64_t> file_bytes_;
  std::vector<std::vector<std::byte>> headers_;  // owns what values view
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<std::uint32_t> by_name_;  // tensor indices sorted by name
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_GGUF_H_
