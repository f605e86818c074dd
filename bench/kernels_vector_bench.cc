// Speed of the float kernels, one thread, per table of this machine:
//   read       a plain sum over as many bytes: what the memory gives
//   matmul     one token (decode) and many (prefill), by weight type
//   attention  one K/V head of 4096 positions, by the heads that share it
//   others     vector operations of 4096 values
// bytes_per_second counts weights, or K and V, once per call; `mac` is
// multiply-adds per second. The working set of a product is 256 MiB, beyond the
// caches; that of attention is 32 MiB, sixteen heads taken in turn.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace sluice::kernels {
namespace {

constexpr std::size_t kColumns = 4096;
constexpr std::size_t kMatmulBytes = std::size_t{256} << 20;

// Small weights of no particular pattern. As F32, F16 or BF16 all finite.
std::vector<std::uint16_t> Weights(std::size_t n) {
  std::vector<std::uint16_t> weights(n);
  std::uint32_t state = 1;
  for (std::uint16_t& weight : weights) {
    state = state * 1664525U + 1013904223U;
    weight = static_cast<std::uint16_t>(0x3000U | (state >> 20));
  }
  return weights;
}

void Read(benchmark::State& state) {
  const std::vector<std::uint64_t> data(kMatmulBytes / 8, 1);
  for (auto _ : state) {
    std::uint64_t sums[8] = {};
    for (std::size_t i = 0; i < data.size(); i += 8) {
      for (std::size_t j = 0; j < 8; ++j) sums[j] += data[i + j];
    }
    benchmark::DoNotOptimize(sums);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(kMatmulBytes));
}

void Matmul(benchmark::State& state, const KernelTable* table, WeightType type,
            std::size_t tokens, std::size_t bytes) {
  const std::vector<std::uint16_t> weights = Weights(bytes / 2);
  const std::vector<float> x(tokens * kColumns, 0.5F);
  MatmulArgs args;
  args.weights = std::as_bytes(std::span(weights)).data();
  args.row_bytes = kColumns * (type == WeightType::kF32 ? 4 : 2);
  args.columns = kColumns;
  args.row_end = bytes / args.row_bytes;
  args.activations = std::as_bytes(std::span(x)).data();
  args.activation_stride = kColumns * sizeof(float);
  args.tokens = tokens;
  std::vector<float> y(tokens * args.row_end);
  args.y = y.data();
  args.y_stride = args.row_end;
  for (auto _ : state) {
    table->matmul[static_cast<std::size_t>(type)](args);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(bytes));
  state.counters["mac"] =
      benchmark::Counter(static_cast<double>(args.row_end * kColumns * tokens),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void Attention(benchmark::State& state, const KernelTable* table,
               std::size_t group, KvFormat format) {
  constexpr std::size_t kHeads = 16;
  constexpr std::size_t kHeadDim = 128;
  constexpr std::size_t kLength = 4096;
  const std::size_t row = KvRowBytes(format, kHeadDim);
  const std::vector<std::uint16_t> k = Weights(kHeads * row * kLength / 2);
  const std::vector<std::uint16_t> v = k;
  const std::vector<float> q(group * kHeadDim, 0.01F);
  std::vector<float> out(group * kHeadDim);
  AttentionArgs args;
  args.q = q.data();
  args.group = group;
  args.head_dim = kHeadDim;
  args.format = format;
  args.kv_stride = row;
  args.length = kLength;
  args.scale = 0.088F;
  args.out = out.data();
  std::size_t head = 0;
  for (auto _ : state) {
    const std::size_t offset = head * row * kLength;
    args.k = std::as_bytes(std::span(k)).data() + offset;
    args.v = std::as_bytes(std::span(v)).data() + offset;
    table->attention(args);
    benchmark::ClobberMemory();
    head = (head + 1) % kHeads;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(2 * row * kLength));
  state.counters["mac"] =
      benchmark::Counter(static_cast<double>(2 * kHeadDim * kLength * group),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void VectorOperation(benchmark::State& state, const KernelTable* table,
                     std::string_view operation) {
  constexpr std::size_t kValues = 4096;
  const std::vector<float> x(kValues, 0.5F);
  std::vector<float> y(kValues, 0.25F);
  std::vector<std::uint16_t> half(kValues);
  for (auto _ : state) {
    if (operation == "rms_norm") {
      table->rms_norm(x.data(), x.data(), kValues, 1e-6F, y.data());
    } else if (operation == "softmax") {
      table->softmax(y.data(), kValues);
    } else if (operation == "swiglu") {
      table->swiglu(x.data(), x.data(), kValues, y.data());
    } else {
      table->to_f16(x.data(), kValues, half.data());
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(kValues));
}

void RegisterTable(const KernelTable* table) {
  const std::string isa(table->name);
  const auto add = [&](const std::string& name, auto function, auto... args) {
    benchmark::RegisterBenchmark((name + "/" + isa).c_str(), function, table,
                                 args...);
  };
  const std::pair<WeightType, const char*> types[] = {
      {WeightType::kF32, "f32"},
      {WeightType::kF16, "f16"},
      {WeightType::kBF16, "bf16"}};
  for (const auto& [type, name] : types) {
    add(std::string("matmul_1/") + name, Matmul, type, std::size_t{1},
        kMatmulBytes);
    add(std::string("matmul_64/") + name, Matmul, type, std::size_t{64},
        std::size_t{4} << 20);
  }
  for (const std::size_t group : {1U, 4U, 8U}) {
    const std::string name = "/group_" + std::to_string(group);
    add("attention" + name, Attention, group, KvFormat::kF16);
    add("attention_q8" + name, Attention, group, KvFormat::kQ8);
  }
  for (const char* operation : {"rms_norm", "softmax", "swiglu", "to_f16"}) {
    add(operation, VectorOperation, operation);
  }
}

const bool kRegistered = [] {
  benchmark::RegisterBenchmark("read", Read);
  for (const KernelTable* table : AvailableTables(DetectCpuFeatures())) {
    RegisterTable(table);
  }
  return true;
}();

}  // namespace
}  // namespace sluice::kernels
