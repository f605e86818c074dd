#include "engine/hardware.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <numeric>
#include <thread>

#include "engine/flash_meter.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSecondsEach = 0.3;
constexpr double kSecondsBrief = 0.15;
constexpr std::size_t kBriefBytes = 128 << 20;  // and as few rounds as allowed
// Of MeasureDramAfterWaits: longer than idle threads look for work, and passes
// of about a millisecond.
constexpr std::chrono::microseconds kWait{400};
constexpr std::size_t kWaitParts = 4;
constexpr std::size_t kRegion = 8;  // matrices multiplied at once, as a layer's
constexpr std::size_t kPiece = 1 << 20;  // bytes that one thread reads at once
constexpr std::size_t kLeastPiece = 256;
// Far enough ahead to cover the latency of memory at its bandwidth.
constexpr std::size_t kReadAhead = 2048;
constexpr std::size_t kFlashBatch = 32;  // experts in flight, at most
constexpr std::size_t kFlashShare = 8;   // and this part of the slots
// Pieces read between two looks at the flash: some tenth of a millisecond.
constexpr std::size_t kBetweenLooks = 4;

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Median(std::vector<double>& values) {
  const auto middle = values.begin() + values.size() / 2;
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Returns what it did.
using Pass = std::function<double()>;

// Repeats passes in turn for a while, each after a wait. The best of their
// median rates.
double BestRate(double seconds, std::chrono::microseconds wait,
                const std::vector<Pass>& passes) {
  std::vector<std::vector<double>> rates(passes.size());
  const Clock::time_point start = Clock::now();
  while (rates[0].size() < 5 || Since(start) < seconds) {
    for (std::size_t i = 0; i < passes.size(); ++i) {
      if (wait.count() > 0) std::this_thread::sleep_for(wait);
      const Clock::time_point begin = Clock::now();
      const double done = passes[i]();
      rates[i].push_back(done / Since(begin));
    }
  }
  double best = 0;
  for (std::vector<double>& of_one : rates) {
    best = std::max(best, Median(of_one));
  }
  return best;
}

// The first `most` bytes of `memory`.
std::vector<std::span<const std::byte>> Pieces(
    std::span<const std::span<const std::byte>> memory, std::size_t most) {
  std::vector<std::span<const std::byte>> pieces;
  std::size_t bytes = 0;
  for (std::span<const std::byte> rest : memory) {
    while (rest.size() >= kLeastPiece && bytes < most) {
      const std::size_t size = std::min(kPiece, rest.size());
      pieces.push_back(rest.first(size));
      rest = rest.subspan(size);
      bytes += size;
    }
  }
  return pieces;
}

using Reader = decltype(kernels::KernelTable::read_peak);

// Reads all pieces with all threads; the bytes.
double ReadPieces(const Compute& compute,
                  std::span<const std::span<const std::byte>> pieces,
                  Reader reader, std::size_t ahead) {
  std::vector<std::uint64_t> seen(pieces.size());
  compute.pool.For(pieces.size(), [&](std::size_t i) {
    seen[i] = reader(pieces[i].data(), pieces[i].size(), ahead);
  });
  std::size_t bytes = 0;
  for (const std::span<const std::byte> piece : pieces) bytes += piece.size();
  return static_cast<double>(bytes);
}

// Reads the pieces, one of `parts` of them in each pass.
double ReadRate(const Compute& compute,
                const std::vector<std::span<const std::byte>>& pieces,
                double seconds, std::chrono::microseconds wait = {},
                std::size_t parts = 1) {
  if (pieces.empty()) return 0;
  std::size_t part = 0;
  const auto read = [&](Reader reader, std::size_t ahead) {
    const std::size_t first = part * pieces.size() / parts;
    const std::size_t end = (part + 1) * pieces.size() / parts;
    part = (part + 1) % parts;
    return ReadPieces(compute, std::span(pieces).subspan(first, end - first),
                      reader, ahead);
  };
  // Which way is fastest differs from processor to processor.
  const Reader wide = compute.kernels.read_peak;
  const Reader narrow = compute.kernels.read_peak_narrow;
  std::vector<Pass> passes = {[&] { return read(wide, 0); },
                              [&] { return read(wide, kReadAhead); }};
  if (narrow != nullptr) passes.emplace_back([&] { return read(narrow, 0); });
  return BestRate(seconds, wait, passes);
}

// Matrices like `shape` in `memory`, one after the other.
std::vector<storage::MatrixView> Matrices(const storage::MatrixView& shape,
                                          std::span<const std::byte> memory) {
  const std::size_t stride =
      storage::AlignUp(shape.bytes(), storage::kIoAlignment);
  std::vector<storage::MatrixView> matrices;
  for (std::size_t at = 0; at + stride <= std::min(memory.size(), kBriefBytes);
       at += stride) {
    storage::MatrixView& matrix = matrices.emplace_back(shape);
    matrix.data = memory.data() + at;
    if (matrix.has_residual()) {
      matrix.residual = matrix.data + matrix.row_bytes * matrix.rows;
    }
  }
  return matrices;
}

// Multiplies matrices with a token, one of `parts` of them in each pass.
double ProductRate(const Compute& compute, const storage::MatrixView& shape,
                   std::span<const std::byte> memory,
                   std::chrono::microseconds wait, std::size_t parts) {
  const std::vector<storage::MatrixView> matrices = Matrices(shape, memory);
  if (matrices.empty()) return 0;
  parts = std::min(parts, matrices.size());
  const std::vector<float> x(shape.columns, 1.0F);
  auto quantized =
      storage::AlignedBuffer::Allocate(QuantizedInput::Bytes(1, shape.columns));
  if (!quantized) return 0;
  QuantizedInput input(quantized->span());
  input.Set(x.data(), 1, shape.columns);
  const ActivationView token = input.For(compute, shape, Precision::kPlain);
  std::vector<float> y(kRegion * shape.rows);
  std::vector<Product> products;
  products.reserve(matrices.size());
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    products.push_back({.weights = &matrices[i],
                        .x = token,
                        .y = y.data() + i % kRegion * shape.rows,
                        .y_stride = shape.rows});
  }
  std::size_t part = 0;
  const Pass pass = [&] {
    const std::size_t first = part * products.size() / parts;
    const std::size_t end = (part + 1) * products.size() / parts;
    part = (part + 1) % parts;
    for (std::size_t i = first; i < end; i += kRegion) {
      RunProducts(compute, {products.data() + i, std::min(kRegion, end - i)});
    }
    return static_cast<double>((end - first) * shape.bytes());
  };
  return BestRate(kSecondsBrief, wait, {pass});
}

double MultiplyRate(const Compute& compute, std::span<const std::byte> operands,
                    double seconds) {
  constexpr std::uint64_t kRounds = 1 << 18;
  std::vector<std::uint64_t> done(compute.pool.threads());
  std::vector<std::uint64_t> sinks(compute.pool.threads());
  const Pass pass = [&] {
    compute.pool.For(done.size(), [&](std::size_t i) {
      done[i] =
          compute.kernels.multiply_peak(operands.data(), kRounds, &sinks[i]);
    });
    return static_cast<double>(
        std::accumulate(done.begin(), done.end(), std::uint64_t{0}));
  };
  return BestRate(seconds, {}, {pass});
}

}  // namespace

double MeasureDram(const Compute& compute,
                   std::span<const std::span<const std::byte>> memory) {
  constexpr auto kAll = std::numeric_limits<std::size_t>::max();
  return ReadRate(compute, Pieces(memory, kAll), kSecondsEach);
}

double MeasureDramBriefly(const Compute& compute,
                          std::span<const std::span<const std::byte>> memory) {
  constexpr auto kAll = std::numeric_limits<std::size_t>::max();
  std::size_t bytes = 0;
  for (const std::span<const std::byte> part : memory) bytes += part.size();
  return ReadRate(compute, Pieces(memory, kAll), 0, {},
                  std::max<std::size_t>(1, bytes / kBriefBytes));
}

double MeasureDramAfterWaits(
    const Compute& compute,
    std::span<const std::span<const std::byte>> memory) {
  const auto pieces = Pieces(memory, kBriefBytes);
  return ReadRate(compute, pieces, kSecondsBrief, kWait,
                  std::clamp<std::size_t>(pieces.size(), 1, kWaitParts));
}

double MeasureProducts(const Compute& compute, const storage::MatrixView& shape,
                       std::span<const std::byte> memory) {
  return ProductRate(compute, shape, memory, {}, kWaitParts);
}

double MeasureProductsAfterWaits(const Compute& compute,
                                 const storage::MatrixView& shape,
                                 std::span<const std::byte> memory) {
  return ProductRate(compute, shape, memory, kWait, kWaitParts);
}

double MeasureMultiply(const Compute& compute,
                       std::span<const std::byte> operands) {
  return MultiplyRate(compute, operands, kSecondsEach);
}

double MeasureMultiplyBriefly(const Compute& compute,
                              std::span<const std::byte> operands) {
  return MultiplyRate(compute, operands, 0);
}

Result<FlashSpeeds> MeasureFlash(const Compute& compute,
                                 const storage::ExpertStore& store,
                                 storage::ReadDevice& device,
                                 cache::ExpertCache& cache,
                                 std::span<const std::byte> weights) {
  const std::size_t batch =
      std::clamp<std::size_t>(cache.slots() / kFlashShare, 1, kFlashBatch);
  const cache::SlotLoan loan = cache.Lend(batch);
  const auto meter = [&] {
    return FlashMeter(store, device, loan.memory(), cache.slot_bytes());
  };
  FlashSpeeds speeds;
  SLUICE_ASSIGN(const FlashMeter::Rates alone, meter().Measure({}));
  speeds.alone = alone.flash;

  const std::span<const std::byte> memory[] = {weights};
  const auto pieces = Pieces(memory, std::numeric_limits<std::size_t>::max());
  if (pieces.empty()) return speeds;
  const Reader narrow = compute.kernels.read_peak_narrow;
  const Reader reader = narrow != nullptr ? narrow : compute.kernels.read_peak;
  std::size_t next = 0;
  SLUICE_ASSIGN(const FlashMeter::Rates both, meter().Measure([&] {
    const std::size_t count = std::min(kBetweenLooks, pieces.size() - next);
    const auto some = std::span(pieces).subspan(next, count);
    next = (next + count) % pieces.size();
    return ReadPieces(compute, some, reader, 0);
  }));
  speeds.beside_memory = both.flash;
  speeds.memory_beside = both.beside;
  return speeds;
}

void CountWork(const ModelConfig& config, const Weights& weights,
               const storage::ExpertStore& store, HardwareReport& report) {
  const auto macs = [](const storage::MatrixView& matrix) {
    return std::uint64_t{matrix.rows} * matrix.columns;
  };
  report.output_macs = macs(weights.output());
  report.decode_bytes = weights.output().bytes();
  for (std::uint32_t i = 0; i < config.layers; ++i) {
    const LayerWeights& layer = weights.layers()[i];
    // The last layer computes no more than keys and values of most tokens.
    const bool last = i + 1 == config.layers;
    std::uint64_t& rest = last ? report.output_macs : report.prefill_macs;
    for (const storage::MatrixView* matrix : {&layer.k, &layer.v}) {
      report.decode_bytes += matrix->bytes();
      report.prefill_macs += macs(*matrix);
    }
    for (const storage::MatrixView* matrix :
         {&layer.q, &layer.output, &layer.router}) {
      report.decode_bytes += matrix->bytes();
      rest += macs(*matrix);
    }
    const storage::ExpertView expert =
        store.Shape(static_cast<std::uint16_t>(i));
    for (const storage::MatrixView* matrix :
         {&expert.gate, &expert.up, &expert.down}) {
      rest += config.experts_used * macs(*matrix);
    }
  }
  report.decode_bytes +=
      store.total_bytes() / config.experts * config.experts_used;
}

}  // namespace sluice
