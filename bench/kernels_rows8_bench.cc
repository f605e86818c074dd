// Is the rows8 layout faster than rows, for each type and instruction set?
//
// Both layouts side by side, as in kernels_quant_bench.cc. decode: one token
// against matrices of 1024 x 2048 weights that together are larger than the
// caches; bytes per second of weights. prefill: 32 and 128 tokens against one
// matrix; multiply-adds per second. interleave and deinterleave: bytes of
// weights per second.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/planes.h"
#include "kernels/rows8.h"
#include "storage/aligned_buffer.h"

namespace sluice::kernels {
namespace {

constexpr std::size_t kRows = 1024;
constexpr std::size_t kColumns = 2048;
constexpr std::size_t kSetBytes = std::size_t{160} << 20;

struct Type {
  WeightType type;
  const char* name;
  std::size_t row_bytes;
  bool planes = false;  // both planes, the residual after the base
};
constexpr Type kTypes[] = {
    {WeightType::kQ8_0, "Q8_0", kColumns / 32 * 34},
    {WeightType::kQ4_0, "Q4_0", kColumns / 32 * 18},
    {WeightType::kQ4_1, "Q4_1", kColumns / 32 * 20},
    {WeightType::kQ5_0, "Q5_0", kColumns / 32 * 22},
    {WeightType::kQ5_1, "Q5_1", kColumns / 32 * 24},
    {WeightType::kIQ4_NL, "IQ4_NL", kColumns / 32 * 18},
    {WeightType::kMXFP4, "MXFP4", kColumns / 32 * 17},
    {WeightType::kQ2_K, "Q2_K", kColumns / 256 * 84},
    {WeightType::kQ3_K, "Q3_K", kColumns / 256 * 110},
    {WeightType::kQ4_K, "Q4_K", kColumns / 256 * 144},
    {WeightType::kQ5_K, "Q5_K", kColumns / 256 * 176},
    {WeightType::kQ6_K, "Q6_K", kColumns / 256 * 210},
    {WeightType::kIQ4_XS, "IQ4_XS", kColumns / 256 * 136},
    {WeightType::kTQ1_0, "TQ1_0", kColumns / 256 * 54},
    {WeightType::kTQ2_0, "TQ2_0", kColumns / 256 * 66},
    {WeightType::kPlane2, "PLANE2", kColumns / 256 * kPlane2Bytes},
    {WeightType::kPlane2, "PLANES",
     kColumns / 256 * (kPlane2Bytes + kResidual2Bytes), true},
};

// One buffer for all benchmarks; its bytes are any type's weights (what a
// product costs does not depend on the values, but for subnormal floats, which
// these bytes never make).
const std::byte* SharedWeights() {
  static const std::vector<std::byte> weights = [] {
    std::vector<std::byte> bytes(kSetBytes);
    std::mt19937_64 rng(1);
    constexpr std::uint64_t kNormal = 0x2020202020202020;
    for (std::size_t i = 0; i < kSetBytes; i += 8) {
      const std::uint64_t word = (rng() & 0x3F3F3F3F3F3F3F3F) | kNormal;
      std::memcpy(bytes.data() + i, &word, 8);
    }
    return bytes;
  }();
  return weights.data();
}

std::vector<float> Inputs(std::size_t n) {
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& value : x) value = normal(rng);
  return x;
}

void Product(benchmark::State& state, const KernelTable& table,
             const Type& type, bool rows8, std::size_t tokens) {
  const ActivationFormat format = FormatFor(type.type);
  const std::size_t stride = ActivationBytes(format, kColumns);
  auto records = storage::AlignedBuffer::Allocate(tokens * stride);
  if (!records.has_value()) return state.SkipWithError("no memory");
  const std::vector<float> x = Inputs(kColumns);
  for (std::size_t t = 0; t < tokens; ++t) {
    table.quantize[static_cast<std::size_t>(format)](
        x.data(), kColumns, records->data() + t * stride);
  }
  std::vector<float> y(tokens * kRows);
  const std::size_t base_bytes =
      type.planes ? kColumns / 256 * kPlane2Bytes : type.row_bytes;
  MatmulArgs args{.row_bytes = base_bytes,
                  .columns = kColumns,
                  .row_end = kRows,
                  .activations = records->data(),
                  .activation_stride = stride,
                  .tokens = tokens,
                  .y = y.data(),
                  .y_stride = kRows};
  const std::size_t matrix = kRows * type.row_bytes;
  const std::size_t matrices = tokens == 1 ? kSetBytes / matrix : 1;
  const std::byte* weights = SharedWeights();
  const auto index = static_cast<std::size_t>(type.type);
  const MatmulFn product = type.planes ? table.matmul_planes
                           : rows8     ? table.matmul_rows8[index]
                                       : table.matmul[index];
  std::size_t next = 0;
  for (auto _ : state) {
    args.weights = weights + next * matrix;
    args.residual = args.weights + kRows * base_bytes;
    product(args);
    benchmark::ClobberMemory();
    next = next + 1 == matrices ? 0 : next + 1;
  }
  const auto runs = static_cast<double>(state.iterations());
  using benchmark::Counter;
  state.counters["weights_B/s"] =
      Counter(runs * static_cast<double>(matrix), Counter::kIsRate);
  state.counters["MAC/s"] = Counter(
      runs * static_cast<double>(kRows * kColumns * tokens), Counter::kIsRate);
}

void Rearrange(benchmark::State& state, const Type& type, bool back) {
  const std::size_t matrix = kRows * type.row_bytes;
  const std::size_t matrices = kSetBytes / matrix;
  std::vector<std::byte> out(matrix);
  std::size_t next = 0;
  for (auto _ : state) {
    const std::byte* from = SharedWeights() + next * matrix;
    (back ? DeinterleaveRows8 : InterleaveRows8)(
        type.type, from, type.row_bytes, kRows, kColumns, out.data());
    benchmark::ClobberMemory();
    next = next + 1 == matrices ? 0 : next + 1;
  }
  state.counters["weights_B/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(matrix),
      benchmark::Counter::kIsRate);
}

void RegisterProduct(const KernelTable& table, const Type& type, bool rows8,
                     std::size_t tokens) {
  std::string name = tokens == 1 ? "decode" : "prefill";
  name += std::string("/") + type.name + "/" + std::string(table.name);
  name += rows8 ? "/rows8" : "/rows";
  if (tokens > 1) name += "/" + std::to_string(tokens);
  benchmark::RegisterBenchmark(
      name.c_str(), [&table, &type, rows8, tokens](benchmark::State& state) {
        Product(state, table, type, rows8, tokens);
      });
}

void RegisterAll() {
  for (const KernelTable* table : AvailableTables(DetectCpuFeatures())) {
    for (const Type& type : kTypes) {
      for (const std::size_t tokens : {1, 32, 128}) {
        if (!type.planes) RegisterProduct(*table, type, false, tokens);
        RegisterProduct(*table, type, true, tokens);
      }
    }
  }
  for (const Type& type : kTypes) {
    if (type.planes) continue;
    for (const bool back : {false, true}) {
      const std::string name =
          std::string(back ? "deinterleave/" : "interleave/") + type.name;
      benchmark::RegisterBenchmark(name.c_str(),
                                   [&type, back](benchmark::State& state) {
                                     Rearrange(state, type, back);
                                   });
    }
  }
}

}  // namespace
}  // namespace sluice::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  sluice::kernels::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
