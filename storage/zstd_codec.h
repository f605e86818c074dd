// One zstd frame at a time, whole, between buffers that the caller owns.
//
// Frames are written with their content size, which readers insist on, and
// without zstd's own checksum, since the container has its own.
//
// Thread safety: a context serves one call at a time.
#ifndef SLUICE_STORAGE_ZSTD_CODEC_H_
#define SLUICE_STORAGE_ZSTD_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "storage/result.h"

namespace sluice::storage {

class ZstdCompressor {
 public:
  // Returns: kNoMemory.
  static Result<ZstdCompressor> Create();
  ZstdCompressor(ZstdCompressor&&) noexcept;
  ~ZstdCompressor();

  // The most that `bytes` bytes can become.
  static std::size_t Bound(std::size_t bytes);
  // The size of the frame, written to `out`; none when `out` is too small.
  std::optional<std::size_t> Compress(std::span<const std::byte> raw,
                                      std::span<std::byte> out);

 private:
  struct Context;
  explicit ZstdCompressor(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

class ZstdDecompressor {
 public:
  // Returns: kNoMemory.
  static Result<ZstdDecompressor> Create();
  ZstdDecompressor(ZstdDecompressor&&) noexcept;
  ~ZstdDecompressor();

  // How far past its output the end of a frame must lie for the two to overlap
  // in memory: zstd writes a block before it has read all of the next.
  static std::size_t InPlaceMargin(std::size_t raw_bytes);
  // Whether `frame` is one frame, and nothing else, of exactly raw.size()
  // bytes, and those bytes have been written to `raw`. The two may overlap as
  // InPlaceMargin says.
  bool Decompress(std::span<const std::byte> frame, std::span<std::byte> raw);

 private:
  struct Context;
  explicit ZstdDecompressor(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

}  // namespace sluice::storage

#endif  // SLUICE_STORAGE_ZSTD_CODEC_H_
