#include "storage/zstd_codec.h"

#include <zstd.h>

#include <array>
#include <utility>

namespace sluice::storage {
namespace {

// Quantised weights have hardly any repeats: what is gained is entropy coding,
// which every level does alike, so the fastest is as good as any.
constexpr int kLevel = 1;

// Largest block of any frame, and the most header bytes of a frame and of a
// block (zstd format, RFC 8878, sections 3.1.1.1 and 3.1.1.2).
constexpr std::size_t kBlockBytes = 128 << 10;
constexpr std::size_t kFrameHeaderBytes = 18;
constexpr std::size_t kBlockHeaderBytes = 3;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kSmallestBlock = 4096;  // on average, see MostBlocks

// What in-place decompression allows for; zstd itself uses blocks of 128 KiB,
// or cuts them where that makes the frame smaller.
constexpr std::size_t MostBlocks(std::size_t raw_bytes) {
  return raw_bytes / kSmallestBlock + 32;
}

// The blocks of a frame, counted without decompressing (RFC 8878, 3.1.1); a
// frame that ends early counts as far as it goes. REQUIRES: a frame of known
// size, so one with a complete header.
std::size_t CountBlocks(std::span<const std::byte> frame) {
  constexpr std::array<std::size_t, 4> kIdBytes = {0, 1, 2, 4};
  constexpr std::array<std::size_t, 4> kSizeBytes = {0, 2, 4, 8};
  const auto byte = [&](std::size_t i) {
    return std::to_integer<std::size_t>(frame[i]);
  };
  if (frame.size() < kFrameHeaderBytes) return 1;
  const std::size_t descriptor = byte(4);
  const bool one_segment = (descriptor & 32) != 0;
  const std::size_t size_code = descriptor >> 6;
  std::size_t at = 5 + (one_segment ? 0 : 1) + kIdBytes[descriptor & 3] +
                   (size_code == 0 && one_segment ? 1 : kSizeBytes[size_code]);
  std::size_t blocks = 0;
  for (bool last = false; !last && at + kBlockHeaderBytes <= frame.size();) {
    const std::size_t header =
        byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16;
    last = (header & 1) != 0;
    const bool run = (header >> 1 & 3) == 1;  // one byte, repeated
    at += kBlockHeaderBytes + (run ? 1 : header >> 3);
    ++blocks;
  }
  return blocks;
}

}  // namespace

struct ZstdCompressor::Context {
  ZSTD_CCtx* zstd = ZSTD_createCCtx();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { ZSTD_freeCCtx(zstd); }
};

struct ZstdDecompressor::Context {
  ZSTD_DCtx* zstd = ZSTD_createDCtx();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { ZSTD_freeDCtx(zstd); }
};

ZstdCompressor::ZstdCompressor(std::unique_ptr<Context> context)
    : context_(std::move(context)) {}
ZstdCompressor::ZstdCompressor(ZstdCompressor&&) noexcept = default;
ZstdCompressor::~ZstdCompressor() = default;

Result<ZstdCompressor> ZstdCompressor::Create() {
  auto context = std::make_unique<Context>();
  if (context->zstd == nullptr) {
    return Fail(ErrorCode::kNoMemory, "zstd: no memory for a compressor");
  }
  ZSTD_CCtx_setParameter(context->zstd, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context->zstd, ZSTD_c_contentSizeFlag, 1);
  return ZstdCompressor(std::move(context));
}

std::size_t ZstdCompressor::Bound(std::size_t bytes) {
  return ZSTD_compressBound(bytes);
}

std::optional<std::size_t> ZstdCompressor::Compress(
    std::span<const std::byte> raw, std::span<std::byte> out) {
  const std::size_t size = ZSTD_compress2(context_->zstd, out.data(),
                                          out.size(), raw.data(), raw.size());
  if (ZSTD_isError(size) != 0) return std::nullopt;
  return size;
}

ZstdDecompressor::ZstdDecompressor(std::unique_ptr<Context> context)
    : context_(std::move(context)) {}
ZstdDecompressor::ZstdDecompressor(ZstdDecompressor&&) noexcept = default;
ZstdDecompressor::~ZstdDecompressor() = default;

Result<ZstdDecompressor> ZstdDecompressor::Create() {
  auto context = std::make_unique<Context>();
  if (context->zstd == nullptr) {
    return Fail(ErrorCode::kNoMemory, "zstd: no memory for a decompressor");
  }
  return ZstdDecompressor(std::move(context));
}

std::size_t ZstdDecompressor::InPlaceMargin(std::size_t raw_bytes) {
  return kFrameHeaderBytes + kChecksumBytes +
         kBlockHeaderBytes * MostBlocks(raw_bytes) + kBlockBytes;
}

bool ZstdDecompressor::Decompress(std::span<const std::byte> frame,
                                  std::span<std::byte> raw) {
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != raw.size() ||
      ZSTD_findFrameCompressedSize(frame.data(), frame.size()) !=
          frame.size() ||
      CountBlocks(frame) > MostBlocks(raw.size())) {
    return false;
  }
  return ZSTD_decompressDCtx(context_->zstd, raw.data(), raw.size(),
                             frame.data(), frame.size()) == raw.size();
}

}  // namespace sluice::storage
