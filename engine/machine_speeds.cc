#include "engine/machine_speeds.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "engine/cpu_quota.h"
#include "engine/hardware.h"
#include "engine/open_options.h"
#include "engine/read_shape.h"
#include "storage/aligned_buffer.h"

namespace sluice {
namespace {

// Beyond the processors' caches, as the weights of a token are.
constexpr std::uint64_t kMostDramBytes = 256 << 20;

// Of a model that streams, as it reads memory; of one that is resident, the
// mean of the time that this and reading without a pause take: over a long run
// it sees both (bench/LEARNED.md, 72).
Result<double> DramBandwidth(const PlanReport& plan,
                             const EngineOptions& options) {
  SLUICE_ASSIGN(const kernels::KernelTable* kernels, PickKernels(options.isa));
  ThreadPool pool(options.threads != 0 ? options.threads : DefaultThreads());
  PhaseClock clock;
  SLUICE_ASSIGN(
      storage::AlignedBuffer memory,
      storage::AlignedBuffer::Allocate(
          std::min({plan.decode_bytes, plan.expert_bytes, kMostDramBytes}),
          {.huge_pages = true}));
  std::memset(memory.data(), 1, memory.size());  // pages of its own
  const std::span<const std::byte> bytes = memory.span();
  const Compute compute = {*kernels, pool, clock};
  const double after_waits = MeasureDramAfterWaits(compute, {&bytes, 1});
  if (plan.streaming || after_waits <= 0) return after_waits;
  const double at_once = MeasureDram(compute, {&bytes, 1});
  return 2 / (1 / after_waits + 1 / at_once);
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
  SLUICE_ASSIGN(const double dram, DramBandwidth(plan, options));
  if (dram > 0) {
    speeds.dram_bytes_per_second = dram;
    speeds.dram_measured = true;
  }
  if (const auto rates = FlashRates(path, model, plan, options)) {
    speeds.flash_bytes_per_second = rates->bytes_per_second;
    speeds.flash_latency_seconds = rates->latency_seconds;
    speeds.flash_saves_up = rates->saves_up;
    speeds.flash_measured = true;
  }
  return speeds;
}

}  // namespace sluice
