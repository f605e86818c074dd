#include "engine/machine_speeds.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "engine/cpu_quota.h"
#include "engine/hardware.h"
#include "engine/interleave.h"
#include "engine/open_options.h"
#include "engine/read_shape.h"
#include "storage/aligned_buffer.h"

namespace sluice {
namespace {

// Beyond the processors' caches, as the weights of a token are.
constexpr std::uint64_t kMostDramBytes = 256 << 20;

double HarmonicMean(double a, double b) {
  return a > 0 && b > 0 ? 2 / (1 / a + 1 / b) : 0;
}

// Of multiplying with matrices like `matrix` in `memory`: of a model that
// streams after waits, as it computes; of one that is resident, the mean of the
// time that this and multiplying without a pause take: over a long run it sees
// both (bench/LEARNED.md, 72).
double ProductBandwidth(const Compute& compute, storage::MatrixView matrix,
                        std::span<const std::byte> memory, bool streaming) {
  if (!streaming && IsWorthInterleaving(compute, matrix)) {
    matrix.layout = storage::MatrixLayout::kRows8;  // as it is loaded
  }
  const double after_waits = MeasureProductsAfterWaits(compute, matrix, memory);
  if (streaming) return after_waits;
  return HarmonicMean(after_waits, MeasureProducts(compute, matrix, memory));
}

// Of an expert's matrices in one: down may be of another type than the others.
double ExpertBandwidth(const Compute& compute,
                       const storage::ExpertView& expert,
                       std::span<const std::byte> memory, bool streaming) {
  const double gate = ProductBandwidth(compute, expert.gate, memory, streaming);
  if (expert.down.type == expert.gate.type) return gate;
  const double down = ProductBandwidth(compute, expert.down, memory, streaming);
  if (gate <= 0 || down <= 0) return 0;
  const auto gate_bytes =
      static_cast<double>(expert.gate.bytes() + expert.up.bytes());
  const auto down_bytes = static_cast<double>(expert.down.bytes());
  return (gate_bytes + down_bytes) / (gate_bytes / gate + down_bytes / down);
}

// Sets what memory gives and what is multiplied out of it, both after waits or
// the mean with and without, as ProductBandwidth.
Result<void> MeasureMemory(const ModelFile& model, const PlanReport& plan,
                           const EngineOptions& options,
                           MachineSpeeds& speeds) {
  SLUICE_ASSIGN(const kernels::KernelTable* kernels, PickKernels(options.isa));
  ThreadPool pool(options.threads != 0 ? options.threads : DefaultThreads());
  PhaseClock clock;
  SLUICE_ASSIGN(
      storage::AlignedBuffer memory,
      storage::AlignedBuffer::Allocate(
          std::min({plan.decode_bytes, plan.expert_bytes, kMostDramBytes}),
          {.huge_pages = true}));
  // Pages of its own, and ordinary numbers in every type of weights.
  std::memset(memory.data(), 0x3C, memory.size());
  const std::span<const std::byte> bytes = memory.span();
  const Compute compute = {*kernels, pool, clock};
  double dram = MeasureDramAfterWaits(compute, {&bytes, 1});
  if (!plan.streaming) {
    dram = HarmonicMean(dram, MeasureDram(compute, {&bytes, 1}));
  }
  speeds.weights_bytes_per_second =
      ExpertBandwidth(compute, model.experts.Shape(0), bytes, plan.streaming);
  if (dram > 0) {
    speeds.dram_bytes_per_second = dram;
    speeds.dram_measured = true;
  }
  return {};
}

// None where it cannot be measured or is not to be.
std::optional<storage::ReadRates> FlashRates(const std::string& path,
                                             const ModelFile& model,
                                             const PlanReport& plan,
                                             const EngineOptions& options) {
  // The memory device would copy the model first.
  if (!options.probe_flash || !options.direct_io || !plan.streaming ||
      options.device == Device::kMemory) {
    return std::nullopt;
  }
  const storage::DeviceOptions usual = {.kind = KindOf(options.device)};
  const auto device = storage::OpenReadDevice({path}, usual);
  if (!device || !(*device)->direct()) return std::nullopt;
  const storage::ReadShapeOptions reads = {
      .path = path,
      .request_bytes = model.experts.slot_bytes(),
      .most_bytes = plan.expert_bytes,
      .device = usual.kind};
  std::size_t piece_bytes = usual.piece_bytes;
  unsigned depth = usual.depth;
  if (model.packed) {
    const auto shape = ReadShapeFor(**device, reads, path + ".probe");
    if (!shape) return std::nullopt;
    piece_bytes = shape->piece_bytes;
    depth = shape->depth;
  }
  const auto rates = storage::MeasureReadRates(reads, piece_bytes, depth);
  if (!rates) return std::nullopt;
  return *rates;
}

}  // namespace

Result<MachineSpeeds> MeasureSpeeds(const std::string& path,
                                    const ModelFile& model,
                                    const PlanReport& plan,
                                    const EngineOptions& options) {
  MachineSpeeds speeds;
  SLUICE_TRY(MeasureMemory(model, plan, options, speeds));
  if (const auto rates = FlashRates(path, model, plan, options)) {
    speeds.flash_bytes_per_second = rates->bytes_per_second;
    speeds.flash_latency_seconds = rates->latency_seconds;
    speeds.flash_saves_up = rates->saves_up;
    speeds.flash_measured = true;
  }
  return speeds;
}

}  // namespace sluice
