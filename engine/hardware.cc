#include "engine/hardware.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSecondsEach = 0.3;
constexpr std::size_t kPiece = 1 << 20;  // bytes that one thread reads at once
constexpr std::size_t kLeastPiece = 256;
constexpr std::size_t kFlashBatch = 32;  // experts in flight, at most
constexpr std::size_t kFlashShare = 8;   // and this part of the slots

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Repeats `pass`, which returns what it did, for a while; the median rate.
double MedianRate(const auto& pass) {
  std::vector<double> rates;
  const Clock::time_point start = Clock::now();
  while (rates.size() < 5 || Since(start) < kSecondsEach) {
    const Clock::time_point begin = Clock::now();
    const double done = pass();
    rates.push_back(done / Since(begin));
  }
  std::ranges::nth_element(rates, rates.begin() + rates.size() / 2);
  return rates[rates.size() / 2];
}

std::vector<ExpertId> ShuffledExperts(const storage::ExpertStore& store) {
  std::vector<ExpertId> ids;
  for (std::uint32_t layer = 0; layer < store.layers(); ++layer) {
    for (std::uint32_t expert = 0; expert < store.experts(); ++expert) {
      ids.push_back({static_cast<std::uint16_t>(layer),
                     static_cast<std::uint16_t>(expert)});
    }
  }
  std::mt19937 random(1);
  std::ranges::shuffle(ids, random);
  return ids;
}

// Reads experts `ids` all at once, each to its slot of `memory`; the bytes
// asked for.
Result<std::uint64_t> ReadBatch(const storage::ExpertStore& store,
                                storage::ReadDevice& device,
                                std::span<const ExpertId> ids,
                                std::span<std::byte> memory,
                                std::size_t slot_bytes) {
  std::vector<storage::ReadRequest> requests;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const storage::ExpertReads reads = store.Reads(
        ids[i], memory.data() + i * slot_bytes, storage::ReadClass::kDemand, i);
    requests.insert(requests.end(), reads.span().begin(), reads.span().end());
  }
  for (const auto& request : requests) bytes += request.length;
  SLUICE_TRY(device.Submit(requests));
  std::optional<Error> error;
  std::vector<storage::ReadCompletion> completions;
  while (device.in_flight() > 0) {
    completions.clear();
    SLUICE_TRY(device.Wait(completions));
    for (auto& completion : completions) {
      if (completion.error && !error) error = std::move(completion.error);
    }
  }
  if (error) return tl::unexpected<Error>(std::move(*error));
  return bytes;
}

}  // namespace

double MeasureDram(const Compute& compute,
                   std::span<const std::span<const std::byte>> memory) {
  std::vector<std::span<const std::byte>> pieces;
  std::size_t bytes = 0;
  for (std::span<const std::byte> rest : memory) {
    while (rest.size() >= kLeastPiece) {
      const std::size_t size = std::min(kPiece, rest.size());
      pieces.push_back(rest.first(size));
      rest = rest.subspan(size);
      bytes += size;
    }
  }
  if (pieces.empty()) return 0;
  std::vector<std::uint64_t> seen(pieces.size());
  return MedianRate([&] {
    compute.pool.For(pieces.size(), [&](std::size_t i) {
      seen[i] = compute.kernels.read_peak(pieces[i].data(), pieces[i].size());
    });
    return static_cast<double>(bytes);
  });
}

double MeasureMultiply(const Compute& compute,
                       std::span<const std::byte> operands) {
  constexpr std::uint64_t kRounds = 1 << 18;
  std::vector<std::uint64_t> done(compute.pool.threads());
  std::vector<std::uint64_t> sinks(compute.pool.threads());
  return MedianRate([&] {
    compute.pool.For(done.size(), [&](std::size_t i) {
      done[i] =
          compute.kernels.multiply_peak(operands.data(), kRounds, &sinks[i]);
    });
    return static_cast<double>(
        std::accumulate(done.begin(), done.end(), std::uint64_t{0}));
  });
}

Result<double> MeasureFlash(const storage::ExpertStore& store,
                            storage::ReadDevice& device,
                            cache::ExpertCache& cache) {
  const std::size_t batch =
      std::clamp<std::size_t>(cache.slots() / kFlashShare, 1, kFlashBatch);
  const cache::SlotLoan loan = cache.Lend(batch);
  std::ranges::fill(loan.memory(), std::byte{});  // else its pages come now
  const std::vector<ExpertId> ids = ShuffledExperts(store);
  std::span<const ExpertId> rest(ids);
  std::uint64_t bytes = 0;
  double seconds = 0;
  while (!rest.empty() && seconds < kSecondsEach) {
    const auto some = rest.first(std::min(batch, rest.size()));
    rest = rest.subspan(some.size());
    const Clock::time_point start = Clock::now();
    SLUICE_ASSIGN(
        const std::uint64_t read,
        ReadBatch(store, device, some, loan.memory(), cache.slot_bytes()));
    seconds += Since(start);
    bytes += read;
  }
  return seconds > 0 ? static_cast<double>(bytes) / seconds : 0.0;
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
    for (const storage::MatrixView* matrix :
         {&layer.q, &layer.k, &layer.v, &layer.output, &layer.router}) {
      report.decode_bytes += matrix->bytes();
      report.prefill_macs += macs(*matrix);
    }
    const storage::ExpertView expert =
        store.Shape(static_cast<std::uint16_t>(i));
    for (const storage::MatrixView* matrix :
         {&expert.gate, &expert.up, &expert.down}) {
      report.prefill_macs += config.experts_used * macs(*matrix);
    }
  }
  report.decode_bytes +=
      store.total_bytes() / config.experts * config.experts_used;
}

}  // namespace sluice
