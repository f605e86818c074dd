#include "engine/container_api.h"

#include <cstddef>
#include <memory>
#include <utility>

#include "engine/plane_fitting.h"
#include "kernels/rows8.h"
#include "storage/flash_probe.h"
#include "storage/repack.h"
#include "storage/tensor_type.h"
#include "storage/verify.h"

namespace sluice {
namespace {

// Both count as GGUF does.
kernels::WeightType ToWeightType(storage::TensorType type) {
  return static_cast<kernels::WeightType>(type);
}

void Interleave(storage::TensorType type, const std::byte* rows,
                std::size_t row_count, std::size_t columns, std::byte* out) {
  // The planner interleaves only matrices of whole blocks.
  const auto row_bytes = storage::RowBytes(type, columns).value_or(0);
  kernels::InterleaveRows8(ToWeightType(type), rows,
                           static_cast<std::size_t>(row_bytes), row_count,
                           columns, out);
}

bool Interleaves(storage::TensorType type) {
  return kernels::HasRows8(ToWeightType(type));
}

storage::CompressRecords ToStorage(CompressExperts compress) {
  switch (compress) {
    case CompressExperts::kAuto:
      return storage::CompressRecords::kAuto;
    case CompressExperts::kAlways:
      return storage::CompressRecords::kAlways;
    case CompressExperts::kNever:
      break;
  }
  return storage::CompressRecords::kNever;
}

RepackModelPhase ToPublic(storage::RepackPhase phase) {
  switch (phase) {
    case storage::RepackPhase::kMeasure:
      return RepackModelPhase::kMeasure;
    case storage::RepackPhase::kWrite:
      return RepackModelPhase::kWrite;
    case storage::RepackPhase::kVerify:
      break;
  }
  return RepackModelPhase::kVerify;
}

CompressionDecision DecisionOf(const storage::RepackReport& report) {
  const storage::CompressionChoice& choice = report.choice;
  return {
      .compressed = report.compressed,
      .measured = choice.measured,
      .sample_bytes = choice.sample_bytes,
      .ratio = choice.ratio,
      .flash_bytes_per_second = choice.flash_bytes_per_second,
      .decompress_bytes_per_second = choice.decompress_bytes_per_second,
      .stored_seconds = choice.stored_seconds,
      .compressed_seconds = choice.compressed_seconds,
  };
}

ProbePoint ToPublic(const storage::FlashPoint& point) {
  return {.request_bytes = point.request_bytes,
          .depth = point.depth,
          .bytes_per_second = point.bytes_per_second,
          .median_latency = point.median_latency,
          .p99_latency = point.p99_latency};
}

Result<void> PreparePlanes(const RepackModelOptions& options,
                           storage::RepackOptions& repack) {
  std::shared_ptr<const ColumnImportance> importance;
  if (!options.calibration_text.empty()) {
    const auto progress = [&options](std::size_t done, std::size_t total) {
      return !options.progress ||
             options.progress({RepackModelPhase::kCalibrate, done, total});
    };
    SLUICE_ASSIGN(
        ColumnImportance measured,
        MeasureImportance(options.input, options.calibration_text, progress));
    repack.fit_stamp = measured.Hash();
    importance = std::make_shared<const ColumnImportance>(std::move(measured));
  }
  repack.fit_planes = MakePlaneFitter(std::move(importance));
  return {};
}

// About half a second instead of three.
void MakeQuick(storage::FlashProbeOptions& options) {
  options.request_bytes = {4 << 10, 64 << 10, 1 << 20};
  options.depths = {1, 8, 32};
  options.seconds_per_point = 0.04;
  options.scratch_bytes = 64 << 20;
}

}  // namespace

Result<RepackModelReport> RepackModel(const RepackModelOptions& options) {
  storage::RepackOptions repack;
  repack.input = options.input;
  repack.output = options.output;
  repack.compress = ToStorage(options.compress);
  repack.force = options.force;
  repack.verify = options.verify;
  repack.interleaver = {.run = Interleave, .supports = Interleaves};
  if (options.planes) SLUICE_TRY(PreparePlanes(options, repack));
  if (options.progress) {
    repack.progress = [&options](const storage::RepackProgress& progress) {
      return options.progress(
          {ToPublic(progress.phase), progress.done, progress.total});
    };
  }
  SLUICE_ASSIGN(const storage::RepackReport report, storage::Repack(repack));
  return RepackModelReport{
      .input_bytes = report.input_bytes,
      .output_bytes = report.output_bytes,
      .weight_bytes = report.weight_bytes,
      .interleaved_bytes = report.rows8_bytes,
      .records = report.records,
      .dense_tensors = report.dense_tensors,
      .resumed = report.resumed_units > 0,
      .compression = DecisionOf(report),
      .write_seconds = report.write_seconds,
      .verify_seconds = report.verify_seconds,
      .verified_bytes = report.verified_bytes,
  };
}

Result<VerifyModelReport> VerifyModel(
    const std::string& path,
    const std::function<bool(std::uint64_t, std::uint64_t)>& progress) {
  SLUICE_ASSIGN(const storage::VerifyReport report,
                storage::VerifyContainer(path, progress));
  return VerifyModelReport{
      .file_bytes = report.bytes,
      .dense_tensors = report.dense_tensors,
      .records = report.records,
      .parts = report.parts,
      .compressed = report.compressed,
  };
}

Result<ProbeReport> ProbeFlash(const ProbeOptions& options) {
  storage::FlashProbeOptions probe;
  probe.path = options.path;
  probe.progress = options.progress;
  if (options.quick) MakeQuick(probe);
  SLUICE_ASSIGN(const storage::FlashProbeReport measured,
                storage::ProbeFlash(probe));
  ProbeReport report;
  report.scratch = measured.scratch;
  report.file_bytes = measured.file_bytes;
  report.device = measured.device;
  report.direct = measured.direct;
  const auto choice = storage::ChooseShape(measured.points);
  for (const storage::FlashPoint& point : measured.points) {
    report.points.push_back(ToPublic(point));
    if (choice && point.request_bytes == choice->piece_bytes &&
        point.depth == choice->depth) {
      report.choice = report.points.back();
    }
  }
  return report;
}

}  // namespace sluice
