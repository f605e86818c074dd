#include "storage/repack.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "storage/aligned_buffer.h"
#include "storage/container_writer.h"
#include "storage/flash_probe.h"
#include "storage/header_file.h"
#include "storage/repack_source.h"
#include "storage/source_identity.h"
#include "storage/verify.h"
#include "storage/zstd_codec.h"

namespace sluice::storage {
namespace {

using Clock = std::chrono::steady_clock;

// Larger parts stay uncompressed, so that memory is bounded.
constexpr std::uint64_t kMostPacked = 32 << 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string PartialPath(const RepackOptions& options) {
  return options.output + ".partial";
}

std::string FolderOf(const std::string& path) {
  const std::filesystem::path folder =
      std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

Result<void> CheckOutput(const RepackOptions& options) {
  std::error_code ignored;
  const std::filesystem::path output(options.output);
  if (std::filesystem::is_directory(output, ignored)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is a folder; name the file to write",
                            OneLine(options.output)));
  }
  if (std::filesystem::equivalent(options.input, output, ignored)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is the input; name another output",
                            OneLine(options.output)));
  }
  if (std::filesystem::exists(output, ignored) && !options.force) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: exists already; --force replaces it",
                            OneLine(options.output)));
  }
  const std::string folder = FolderOf(options.output);
  if (std::filesystem::is_directory(folder, ignored)) return {};
  return Fail(
      ErrorCode::kNotFound,
      fmt::format("{}: no such folder; create it first", OneLine(folder)));
}

// Refuses when the folder cannot take the whole container; what an earlier
// repack has written counts as there.
Result<void> CheckSpace(const RepackOptions& options,
                        const ContainerPlan& plan) {
  const std::string folder = FolderOf(options.output);
  struct statvfs space = {};
  if (statvfs(folder.c_str(), &space) != 0) return {};  // the writes will tell
  std::uint64_t there = 0;
  struct stat status = {};
  if (stat(PartialPath(options).c_str(), &status) == 0) {
    there = static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (free + there >= plan.file_bytes) return {};
  return Fail(ErrorCode::kIo,
              fmt::format("{}: {} MB are needed and {} MB are free; free some "
                          "space or choose another folder",
                          OneLine(folder), plan.file_bytes / 1000000 + 1,
                          free / 1000000));
}

// What an interrupted repack of the same GGUF decided; none without one.
std::optional<bool> EarlierDecision(const RepackOptions& options,
                                    const ContainerPlan& plan) {
  auto file = HeaderFile::Open(PartialPath(options));
  if (!file) return std::nullopt;
  const auto page = file->Read(kPageBytes);
  if (!page || page->size() != kPageBytes) return std::nullopt;
  ContainerHeader header;
  std::memcpy(&header, page->data(), sizeof(header));
  const bool done =
      header.units_done > 0 ||
      header.state == static_cast<std::uint32_t>(ContainerState::kComplete);
  if (header.magic != kContainerMagic || !done ||
      header.source_hash != plan.header.source_hash ||
      (header.units_done > 0 &&
       header.source_stamp != plan.header.source_stamp) ||
      header.source_bytes != plan.header.source_bytes) {
    return std::nullopt;
  }
  return (header.options & kOptionCompressed) != 0;
}

class Repacker {
 public:
  Repacker(const RepackOptions& options, const ContainerPlan& plan,
           ReadDevice& device, RepackReport& report)
      : options_(options), plan_(plan), device_(device), report_(report) {}

  Result<void> Run();

 private:
  Result<void> WriteUnits();
  Result<void> WritePiece(const Piece& piece, std::span<const std::byte> bytes);
  Result<void> WritePacked();
  Result<void> Verify();
  bool IsPacked(const Piece& piece) const {
    return (plan_.header.options & kOptionCompressed) != 0 &&
           piece.unit >= plan_.dense.size() && piece.slice.bytes <= kMostPacked;
  }
  // `bytes` as the container has them.
  void Arrange(const Piece& piece, std::span<const std::byte> bytes,
               std::span<std::byte> out) const;
  Result<void> Progress(RepackPhase phase, std::uint64_t done,
                        std::uint64_t total) const;
  Result<void> CopyOut(std::span<const std::byte> bytes);

  const RepackOptions& options_;
  const ContainerPlan& plan_;
  ReadDevice& device_;
  RepackReport& report_;
  std::unique_ptr<ContainerWriter> writer_;
  std::optional<ZstdCompressor> zstd_;
  AlignedBuffer raw_;       // a part before it is compressed
  AlignedBuffer packed_;    // and after
  std::uint64_t done_ = 0;  // bytes of weights in the file
};

Result<void> Repacker::Run() {
  SLUICE_ASSIGN(writer_, ContainerWriter::Open(plan_, PartialPath(options_),
                                               options_.checkpoint_bytes));
  report_.resumed_units = writer_->unit();
  const auto start = Clock::now();
  Result<void> written = WriteUnits();
  if (!written) {
    // Keeps what is complete; if that fails too, the last checkpoint stands.
    if (written.error().code == ErrorCode::kCancelled) {
      SLUICE_TRY(writer_->Suspend());
    }
    return written;
  }
  SLUICE_TRY(writer_->Finish());
  raw_ = {};
  packed_ = {};
  report_.write_seconds = SecondsSince(start);
  if (options_.verify) SLUICE_TRY(Verify());
  return writer_->Publish(options_.output);
}

Result<void> Repacker::WriteUnits() {
  for (std::uint64_t unit = 0; unit < writer_->unit(); ++unit) {
    for (std::size_t part = 0; part < plan_.parts_of(unit); ++part) {
      done_ += plan_.Source(unit, part).bytes;
    }
  }
  SLUICE_TRY(Progress(RepackPhase::kWrite, done_, plan_.weight_bytes));
  SLUICE_ASSIGN(
      RepackSource source,
      RepackSource::Create(
          device_, PieceSequence(plan_, writer_->unit(), plan_.units())));
  while (true) {
    SLUICE_ASSIGN(const auto loaded, source.Next());
    if (!loaded) return {};
    const Piece& piece = loaded->piece;
    SLUICE_TRY(WritePiece(piece, loaded->bytes));
    done_ += piece.bytes;
    if (piece.is_last && piece.part + 1 == plan_.parts_of(piece.unit)) {
      SLUICE_TRY(writer_->EndUnit());
    }
    SLUICE_TRY(Progress(RepackPhase::kWrite, done_, plan_.weight_bytes));
  }
}

Result<void> Repacker::WritePiece(const Piece& piece,
                                  std::span<const std::byte> bytes) {
  if (piece.begin == 0) SLUICE_TRY(writer_->BeginPart(piece.part));
  if (!IsPacked(piece)) {
    SLUICE_ASSIGN(const auto out, writer_->Claim(bytes.size()));
    Arrange(piece, bytes, out);
    writer_->Append(out);
    if (piece.is_last) writer_->EndPart(Codec::kStored);
    return {};
  }
  if (raw_.size() < piece.slice.bytes) {
    SLUICE_ASSIGN(raw_, AlignedBuffer::Allocate(
                            static_cast<std::size_t>(piece.slice.bytes)));
    SLUICE_ASSIGN(packed_,
                  AlignedBuffer::Allocate(ZstdCompressor::Bound(raw_.size())));
  }
  Arrange(
      piece, bytes,
      raw_.span().subspan(static_cast<std::size_t>(piece.begin), bytes.size()));
  if (!piece.is_last) return {};
  if (!zstd_) {
    SLUICE_ASSIGN(ZstdCompressor zstd, ZstdCompressor::Create());
    zstd_.emplace(std::move(zstd));
  }
  const auto raw =
      raw_.span().first(static_cast<std::size_t>(piece.slice.bytes));
  const auto size = zstd_->Compress(raw, packed_.span());
  const bool smaller = size && *size < raw.size();
  SLUICE_TRY(CopyOut(smaller ? packed_.span().first(*size) : raw));
  writer_->EndPart(smaller ? Codec::kZstd : Codec::kStored);
  return {};
}

Result<void> Repacker::CopyOut(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto run = bytes.first(std::min(bytes.size(), kPieceBytes));
    bytes = bytes.subspan(run.size());
    SLUICE_ASSIGN(const auto out, writer_->Claim(run.size()));
    std::ranges::copy(run, out.begin());
    writer_->Append(out);
  }
  return {};
}

void Repacker::Arrange(const Piece& piece, std::span<const std::byte> bytes,
                       std::span<std::byte> out) const {
  const SourceSlice& slice = piece.slice;
  if (slice.layout == MatrixLayout::kRows) {
    std::ranges::copy(bytes, out.begin());
    return;
  }
  options_.interleaver.run(slice.type, bytes.data(),
                           bytes.size() / slice.row_bytes,
                           static_cast<std::size_t>(slice.columns), out.data());
}

Result<void> Repacker::Verify() {
  const auto start = Clock::now();
  const auto verified = VerifyContainer(
      PartialPath(options_),
      [&](std::uint64_t done, std::uint64_t total) {
        return Progress(RepackPhase::kVerify, done, total).has_value();
      },
      options_.device);
  report_.verify_seconds = SecondsSince(start);
  if (verified) return {};
  if (verified.error().code == ErrorCode::kCancelled) {
    return Fail(ErrorCode::kCancelled,
                fmt::format("{}: stopped; run repack again to go on",
                            OneLine(options_.output)));
  }
  writer_->Discard();
  return Fail(ErrorCode::kIo,
              fmt::format("{}: what was written is not what is read back ({}); "
                          "the device may be failing",
                          OneLine(options_.output), verified.error().message));
}

Result<void> Repacker::Progress(RepackPhase phase, std::uint64_t done,
                                std::uint64_t total) const {
  if (!options_.progress || options_.progress({phase, done, total})) return {};
  return Fail(ErrorCode::kCancelled,
              fmt::format("{}: stopped; run repack again to go on",
                          OneLine(options_.output)));
}

// What direct reads of the output's folder give, where that is not on the
// device of the input; none where they cannot be measured either.
std::optional<double> OutputRate(const RepackOptions& options) {
  const std::string folder = FolderOf(options.output);
  struct stat input = {};
  struct stat output = {};
  if (stat(options.input.c_str(), &input) != 0 ||
      stat(folder.c_str(), &output) != 0 || input.st_dev == output.st_dev) {
    return std::nullopt;
  }
  FlashProbeOptions probe;
  probe.path = folder;
  probe.request_bytes = {1 << 20};
  probe.depths = {8};
  probe.seconds_per_point = 0.2;
  probe.scratch_bytes = 64 << 20;
  const auto report = ProbeFlash(probe);
  if (!report) return std::nullopt;
  return report->points[0].bytes_per_second;
}

// The plan with compression or without, whichever the options ask for.
Result<ContainerPlan> ChoosePlan(const RepackOptions& options,
                                 const GgufFile& gguf, ReadDevice& device,
                                 RepackReport& report) {
  SLUICE_ASSIGN(const SourceIdentity source, IdentifySource(gguf, device));
  bool compressed = options.compress == CompressRecords::kAlways;
  if (options.compress == CompressRecords::kAuto) {
    SLUICE_ASSIGN(ContainerPlan plan,
                  PlanContainer(gguf, source, options.interleaver, false));
    if (const auto earlier = EarlierDecision(options, plan)) {
      compressed = *earlier;
    } else {
      if (options.progress &&
          !options.progress({RepackPhase::kMeasure, 0, plan.weight_bytes})) {
        return Fail(ErrorCode::kCancelled,
                    fmt::format("{}: stopped", OneLine(options.output)));
      }
      SLUICE_ASSIGN(report.choice,
                    MeasureCompression(plan, options.interleaver, device,
                                       OutputRate(options)));
      compressed = report.choice.compressed;
    }
    if (!compressed) return plan;
  }
  report.compressed = compressed;
  return PlanContainer(gguf, source, options.interleaver, compressed);
}

}  // namespace

Result<RepackReport> Repack(const RepackOptions& options) {
  SLUICE_ASSIGN(const GgufFile gguf, GgufFile::Open(options.input));
  SLUICE_TRY(CheckOutput(options));
  SLUICE_ASSIGN(const auto device,
                OpenReadDevice({gguf.paths().begin(), gguf.paths().end()},
                               options.device));
  RepackReport report;
  SLUICE_ASSIGN(const ContainerPlan plan,
                ChoosePlan(options, gguf, *device, report));
  SLUICE_TRY(CheckSpace(options, plan));
  report.input_bytes = plan.header.source_bytes;
  report.records = plan.index.records.size();
  report.dense_tensors = plan.dense.size();
  report.weight_bytes = plan.weight_bytes;
  for (std::uint64_t unit = 0; unit < plan.units(); ++unit) {
    for (std::size_t part = 0; part < plan.parts_of(unit); ++part) {
      const SourceSlice slice = plan.Source(unit, part);
      if (slice.layout == MatrixLayout::kRows8) {
        report.rows8_bytes += slice.bytes;
      }
    }
  }
  SLUICE_TRY(Repacker(options, plan, *device, report).Run());
  std::error_code ignored;
  report.output_bytes = std::filesystem::file_size(options.output, ignored);
  return report;
}

}  // namespace sluice::storage
