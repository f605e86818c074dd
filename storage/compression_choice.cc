#include "storage/compression_choice.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/repack_source.h"
#include "storage/zstd_codec.h"

namespace sluice::storage {
namespace {

using Clock = std::chrono::steady_clock;

// Records are sampled up to so many bytes, but at least and at most so many.
constexpr std::uint64_t kSampleBytes = 32 << 20;
constexpr std::uint64_t kLeastRecords = 8;
constexpr std::uint64_t kMostRecords = 64;
constexpr double kLeastGain = 1.05;
// Of the faster of reading and unpacking, as Decide explains.
constexpr double kNotHidden = 0.5;
constexpr double kGigabyte = 1e9;

double Seconds(Clock::time_point since) {
  // Never zero, so that rates are finite.
  return std::max(1e-9,
                  std::chrono::duration<double>(Clock::now() - since).count());
}

// The first piece of each part of records spread over the model.
std::vector<Piece> SamplePieces(const ContainerPlan& plan) {
  const std::uint64_t records = plan.index.records.size();
  const std::uint64_t record_bytes = std::max<std::uint64_t>(
      1, plan.header.section(SectionKind::kExperts).stored_bytes / records);
  const std::uint64_t count = std::min(
      records,
      std::clamp(kSampleBytes / record_bytes, kLeastRecords, kMostRecords));
  std::vector<Piece> pieces;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t unit =
        plan.dense.size() + (2 * i + 1) * records / (2 * count);
    PieceSequence sequence(plan, unit, unit + 1);
    while (const std::optional<Piece> piece = sequence()) {
      if (piece->begin == 0) pieces.push_back(*piece);
    }
  }
  return pieces;
}

Result<RepackSource> OpenSample(ReadDevice& device,
                                const std::vector<Piece>& pieces) {
  return RepackSource::Create(device, [&pieces,
                                       next = std::size_t{0}]() mutable {
    return next < pieces.size() ? std::optional(pieces[next++]) : std::nullopt;
  });
}

Result<double> MeasureFlash(ReadDevice& device,
                            const std::vector<Piece>& pieces) {
  const auto start = Clock::now();
  double bytes = 0;
  SLUICE_ASSIGN(RepackSource source, OpenSample(device, pieces));
  while (true) {
    SLUICE_ASSIGN(const auto loaded, source.Next());
    if (!loaded) break;
    bytes += static_cast<double>(loaded->bytes.size());
  }
  return bytes / Seconds(start);
}

}  // namespace

void Decide(CompressionChoice& choice) {
  choice.stored_seconds = kGigabyte / choice.flash_bytes_per_second;
  const double read = choice.stored_seconds * choice.ratio;
  const double unpack = kGigabyte / choice.decompress_bytes_per_second;
  choice.compressed_seconds =
      std::max(read, unpack) + kNotHidden * std::min(read, unpack);
  choice.compressed =
      choice.sample_bytes >= kLeastSampleBytes &&
      choice.compressed_seconds * kLeastGain < choice.stored_seconds;
}

Result<CompressionChoice> MeasureCompression(
    const ContainerPlan& plan, const RowInterleaver& interleaver,
    ReadDevice& device, std::optional<double> flash_bytes_per_second) {
  const std::vector<Piece> pieces = SamplePieces(plan);
  CompressionChoice choice;
  choice.measured = true;
  if (flash_bytes_per_second) {
    choice.flash_bytes_per_second = *flash_bytes_per_second;
    choice.other_device = true;
  } else {
    SLUICE_ASSIGN(choice.flash_bytes_per_second, MeasureFlash(device, pieces));
  }
  SLUICE_ASSIGN(ZstdCompressor compressor, ZstdCompressor::Create());
  SLUICE_ASSIGN(ZstdDecompressor decompressor, ZstdDecompressor::Create());
  SLUICE_ASSIGN(AlignedBuffer raw,
                AlignedBuffer::Allocate(kPieceBytes, {.huge_pages = true}));
  SLUICE_ASSIGN(AlignedBuffer packed,
                AlignedBuffer::Allocate(ZstdCompressor::Bound(kPieceBytes)));
  SLUICE_ASSIGN(RepackSource source, OpenSample(device, pieces));
  double packed_bytes = 0;
  double seconds = 0;
  while (true) {
    SLUICE_ASSIGN(const auto loaded, source.Next());
    if (!loaded) break;
    const auto out = raw.span().first(loaded->bytes.size());
    const SourceSlice& slice = loaded->piece.slice;
    if (slice.layout == MatrixLayout::kRows8) {
      interleaver.run(slice.type, loaded->bytes.data(),
                      loaded->bytes.size() / slice.row_bytes,
                      static_cast<std::size_t>(slice.columns), out.data());
    } else {
      std::ranges::copy(loaded->bytes, out.begin());
    }
    choice.sample_bytes += out.size();
    const auto size = compressor.Compress(out, packed.span());
    if (!size || *size >= out.size()) {
      packed_bytes += static_cast<double>(out.size());  // would be stored
      continue;
    }
    packed_bytes += static_cast<double>(*size);
    const auto start = Clock::now();
    decompressor.Decompress(packed.span().first(*size), out);
    seconds += Seconds(start);
  }
  choice.ratio = packed_bytes / static_cast<double>(choice.sample_bytes);
  choice.decompress_bytes_per_second =
      static_cast<double>(choice.sample_bytes) / std::max(1e-9, seconds);
  Decide(choice);
  return choice;
}

}  // namespace sluice::storage
