#include "storage/repack.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "storage/aligned_buffer.h"
#include "storage/container_reader.h"
#include "storage/container_writer.h"
#include "storage/flash_probe.h"
#include "storage/header_file.h"
#include "storage/read_back.h"
#include "storage/repack_output.h"
#include "storage/repack_source.h"
#include "storage/source_identity.h"
#include "storage/zstd_codec.h"

namespace sluice::storage {
namespace {

using Clock = std::chrono::steady_clock;

// Larger parts stay uncompressed, so that memory is bounded.
constexpr std::uint64_t kMostPacked = 32 << 20;
// Verified between two calls of progress.
constexpr std::uint64_t kProgressBytes = 16 << 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Repacker {
 public:
  Repacker(const RepackOptions& options, const ContainerPlan& plan,
           ReadDevice& device, RepackReport& report)
      : options_(options),
        plan_(plan),
        device_(device),
        report_(report),
        planes_(plan, options.fit_planes) {}

  Result<void> Run();

 private:
  Result<void> StartReadBack();
  Result<void> WriteUnits();
  Result<void> WritePiece(const Piece& piece, std::span<const std::byte> bytes);
  // Waits until everything is read back, and opens the result as a reader does.
  Result<void> Verify();
  Result<void> AwaitReadBack() const;
  // Turns what reading back found into the error of the repack, and makes sure
  // that nothing goes on from such a file.
  Result<void> Judge(Result<void> verified);
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
  std::unique_ptr<ReadBack> read_back_;  // none without verification
  std::unique_ptr<ContainerWriter> writer_;
  PlaneRecord planes_;  // where the records are of planes
  std::optional<ZstdCompressor> zstd_;
  AlignedBuffer raw_;       // a part before it is compressed
  AlignedBuffer packed_;    // and after
  std::uint64_t done_ = 0;  // bytes of weights in the file
};

Result<void> Repacker::Run() {
  if (options_.verify) SLUICE_TRY(StartReadBack());
  std::function<void(WrittenRange)> written;
  if (read_back_) {
    written = [this](WrittenRange range) { read_back_->Add(std::move(range)); };
  }
  SLUICE_ASSIGN(writer_, ContainerWriter::Open(plan_, PartialPath(options_),
                                               options_.checkpoint_bytes,
                                               std::move(written)));
  report_.resumed_units = writer_->unit();
  const auto start = Clock::now();
  Result<void> done = WriteUnits();
  if (!done) {
    // Keeps what is complete; if that fails too, the last checkpoint stands.
    if (done.error().code == ErrorCode::kCancelled) {
      SLUICE_TRY(writer_->Suspend());
    }
    return done;
  }
  SLUICE_TRY(writer_->Finish());
  raw_ = {};
  packed_ = {};
  report_.write_seconds = SecondsSince(start);
  if (options_.verify) SLUICE_TRY(Verify());
  return writer_->Publish(options_.output);
}

Result<void> Repacker::StartReadBack() {
  SLUICE_ASSIGN(
      read_back_,
      ReadBack::Start(PartialPath(options_), plan_.index,
                      [this]() -> Result<std::unique_ptr<ReadDevice>> {
                        const std::string path = PartialPath(options_);
                        if (options_.open_written) {
                          return options_.open_written(path);
                        }
                        return OpenReadDevice({path}, options_.device);
                      }));
  return {};
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
    if (read_back_) SLUICE_TRY(Judge(read_back_->Check()));
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
  if (plan_.form == RecordForm::kPlanes && piece.unit >= plan_.dense.size()) {
    return planes_.Take(piece, bytes, *writer_);
  }
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
  Result<void> verified = AwaitReadBack();
  if (verified) {
    const auto opened = ContainerReader::Open(PartialPath(options_));
    if (!opened) verified = tl::unexpected(opened.error());
  }
  report_.verify_seconds = SecondsSince(start);
  report_.verified_bytes = read_back_->bytes();
  return Judge(std::move(verified));
}

Result<void> Repacker::AwaitReadBack() const {
  const std::string path = PartialPath(options_);
  std::error_code ignored;
  const std::uint64_t total = std::filesystem::file_size(path, ignored);
  for (std::uint64_t done = read_back_->bytes();;) {
    SLUICE_TRY(Progress(RepackPhase::kVerify, done, total));
    SLUICE_ASSIGN(const std::uint64_t now,
                  read_back_->WaitBeyond(done + kProgressBytes));
    if (now == done) break;
    done = now;
  }
  if (read_back_->bytes() == total && read_back_->complete()) return {};
  return Fail(ErrorCode::kInternal,
              fmt::format("{}: only {} of {} bytes were read back",
                          OneLine(path), read_back_->bytes(), total));
}

Result<void> Repacker::Judge(Result<void> verified) {
  if (verified || (verified.error().code != ErrorCode::kCorrupt &&
                   verified.error().code != ErrorCode::kIo)) {
    return verified;
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
  SLUICE_ASSIGN(SourceIdentity source, IdentifySource(gguf, device));
  if (options.fit_planes) {
    source.stamp ^= options.fit_stamp;
    return PlanContainer(gguf, source, options.interleaver,
                         RecordForm::kPlanes);
  }
  bool compressed = options.compress == CompressRecords::kAlways;
  if (options.compress == CompressRecords::kAuto) {
    SLUICE_ASSIGN(
        ContainerPlan plan,
        PlanContainer(gguf, source, options.interleaver, RecordForm::kStored));
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
  return PlanContainer(
      gguf, source, options.interleaver,
      compressed ? RecordForm::kCompressed : RecordForm::kStored);
}

}  // namespace

Result<RepackReport> Repack(const RepackOptions& options) {
  SLUICE_ASSIGN(const GgufFile gguf, GgufFile::Open(options.input));
  SLUICE_TRY(CheckOutput(options, gguf.paths()));
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
