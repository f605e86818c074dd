// GgufParser: reads the header of one GGUF file from memory.
//
// Works on whatever first bytes of the file there are: when they end too early
// but the file goes on, Parse fails and bytes_needed() says how many to bring
// for the next attempt. So a header of unknown length can be read in steps.
//
// Nothing is allocated in proportion to a claimed count before that many items
// have been seen; every claim is checked against the bytes that are left.
//
// Thread safety: thread-compatible.
#ifndef SLUICE_STORAGE_GGUF_PARSER_H_
#define SLUICE_STORAGE_GGUF_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "storage/gguf.h"
#include "storage/result.h"

namespace sluice::storage {

// What one file of a model holds.
struct GgufPart {
  std::uint32_t version = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<GgufTensor> tensors;
  std::uint64_t header_bytes = 0;  // up to the padding before the weights

  const GgufValue* Find(std::string_view key) const;
};

// `name` in quotes, with everything but printable ASCII as \xNN and cut to a
// readable length: names come from the file and go into messages.
std::string QuoteName(std::string_view name);

class GgufParser {
 public:
  // `header`: the first bytes of a file of `file_bytes` bytes. Both `header`
  // and `path` must outlive the parser; the values of the part view `header`.
  // `file` is what GgufTensor::file becomes.
  GgufParser(std::span<const std::byte> header, std::uint64_t file_bytes,
             std::string_view path, std::uint32_t file);

  // Call once.
  // Returns: kCorrupt, kUnsupported.
  Result<GgufPart> Parse();

  // After Parse failed: the number of first bytes of the file without which it
  // cannot go on; zero when more bytes would not help.
  std::uint64_t bytes_needed() const { return bytes_needed_; }

 private:
  // The parts of the header, in file order.
  Result<void> ParsePreamble();
  Result<void> CheckMagic();
  Result<void> CheckVersion(std::uint32_t version);
  Result<void> ParsePair();
  Result<void> ParseValue(GgufType type, GgufValue& value);
  Result<void> ParseArray(GgufValue& value);
  Result<void> CheckBools(std::span<const std::byte> payload);
  Result<void> ParseTensor();
  Result<void> ParseShape(GgufTensor& tensor);
  Result<void> SizeTensor(std::uint32_t type, GgufTensor& tensor);

  // Checks over the whole directory (gguf_layout.cc).
  Result<std::uint64_t> Alignment() const;
  Result<void> PlaceTensors();
  Result<void> CheckOverlaps() const;

  // Checks that `bytes` more bytes are at hand.
  Result<void> Need(std::uint64_t bytes);
  // The next little-endian number.
  template <typename T>
  Result<T> Take();
  // The next string: its length, at most `limit`, and its bytes.
  Result<std::string_view> TakeString(std::uint64_t limit);
  // Refuses `count` items of at least `item_bytes` each when what is left of
  // the file cannot hold them.
  Result<void> CheckCount(std::uint64_t count, std::uint64_t item_bytes,
                          std::string_view items) const;
  std::uint64_t Left() const { return end_ - at_; }

  // A message that names the file, `what`, the byte and the key or tensor.
  tl::unexpected<Error> Corrupt(std::uint64_t at, std::string_view what) const;

  std::span<const std::byte> header_;
  std::uint64_t file_bytes_;
  std::uint64_t end_;  // no header byte is at or after this
  std::string_view path_;
  std::uint32_t file_;

  GgufPart part_;
  std::unordered_set<std::string_view> keys_;  // views of header_
  std::uint64_t key_count_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t at_ = 0;  // bytes consumed
  std::string place_;     // `key "x"` or `tensor "x"` being parsed, or empty
  std::uint64_t bytes_needed_ = 0;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_GGUF_PARSER_H_
