// A decoded token's attention over a long context, against the rate at which
// the same threads read the same memory: what the K/V cache in DRAM allows.
//
//   NAME/FORMAT/ISA   the shape of a model, 8192 positions, all K/V heads of a
//                     layer shared out over the threads as the engine does;
//                     the layers are taken in turn, so that K and V are cold
//
// Reading, with a prefetch and without, and attention take turns, layer by
// layer, so that all see the same machine. `share` is the time of the better
// reading over the time of attention: 1 is the bandwidth, 0.83 is 20 % more
// than it. `read` and `attention` are bytes of K and V per second.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "engine/thread_pool.h"
#include "kernels/kernel_table.h"
#include "kernels/kv_rows.h"
#include "storage/aligned_buffer.h"

namespace sluice::kernels {
namespace {

constexpr std::size_t kPositions = 8192;
constexpr std::size_t kCacheBytes = std::size_t{512} << 20;  // beyond caches
constexpr unsigned kThreads = 2;
constexpr std::size_t kReadAheads[] = {0, 2048};  // bytes; see read_peak

struct Shape {
  const char* name;
  std::size_t kv_heads;
  std::size_t group;
  std::size_t head_dim;
};
constexpr Shape kShapes[] = {{"olmoe", 16, 1, 128},
                             {"smallthinker", 4, 7, 128},
                             {"qwen3_30b", 4, 8, 128}};

// The heads of all layers, one after the other, each its keys and its values.
class Cache {
 public:
  Cache(const Shape& shape, KvFormat format)
      : row_(KvRowBytes(format, shape.head_dim)),
        head_(2 * kPositions * row_),
        heads_(kCacheBytes / head_ / shape.kv_heads * shape.kv_heads),
        bytes_(*storage::AlignedBuffer::Allocate(heads_ * head_,
                                                 {.huge_pages = true})) {
    std::vector<float> x(shape.head_dim);
    std::uint32_t state = 1;
    const KernelTable& table = *AvailableTables(DetectCpuFeatures()).front();
    for (std::size_t row = 0; row < 2 * kPositions; ++row) {
      for (float& value : x) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<float>(state >> 8) * 0x1p-23F - 1.0F;
      }
      if (row < kPositions) {
        const std::size_t place = row % kKeyGroup;
        StoreKvKey(table, format, x.data(), x.size(),
                   bytes_.data() + (row - place) * row_, place);
      } else {
        StoreKvRow(table, format, x.data(), x.size(),
                   bytes_.data() + row * row_);
      }
    }
    for (std::size_t head = 1; head < heads_; ++head) {
      std::memcpy(bytes_.data() + head * head_, bytes_.data(), head_);
    }
  }
  std::size_t row_bytes() const { return row_; }
  std::size_t head_bytes() const { return head_; }
  std::size_t heads() const { return heads_; }
  const std::byte* head(std::size_t i) const {
    return bytes_.data() + i * head_;
  }

 private:
  std::size_t row_;
  std::size_t head_;
  std::size_t heads_;
  storage::AlignedBuffer bytes_;
};

double Seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

void Decode(benchmark::State& state, const KernelTable* table, Shape shape,
            KvFormat format) {
  const Cache cache(shape, format);
  ThreadPool pool(kThreads);
  const std::size_t width = shape.group * shape.head_dim;
  const std::vector<float> q(shape.kv_heads * width, 0.05F);
  std::vector<float> out(q.size());
  std::vector<std::uint64_t> sums(shape.kv_heads);
  double reading[std::size(kReadAheads)] = {};
  double attending = 0;
  std::size_t first = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < std::size(kReadAheads); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      pool.For(shape.kv_heads, [&](std::size_t head) {
        sums[head] = table->read_peak(cache.head(first + head),
                                      cache.head_bytes(), kReadAheads[i]);
      });
      reading[i] += Seconds(std::chrono::steady_clock::now() - begin);
      benchmark::DoNotOptimize(sums.data());
      first = (first + shape.kv_heads) % cache.heads();
    }
    const auto begin = std::chrono::steady_clock::now();
    pool.For(shape.kv_heads, [&](std::size_t head) {
      const std::byte* const k = cache.head(first + head);
      table->attention(
          {.q = q.data() + head * width,
           .group = shape.group,
           .head_dim = shape.head_dim,
           .format = format,
           .k = k,
           .v = k + kPositions * cache.row_bytes(),
           .kv_stride = cache.row_bytes(),
           .length = kPositions,
           .scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim)),
           .out = out.data() + head * width});
    });
    const auto end = std::chrono::steady_clock::now();
    first = (first + shape.kv_heads) % cache.heads();
    attending += Seconds(end - begin);
    state.SetIterationTime(Seconds(end - begin));
  }
  const double bytes = static_cast<double>(state.iterations()) *
                       static_cast<double>(shape.kv_heads * cache.head_bytes());
  const double least = *std::ranges::min_element(reading);
  state.counters["read"] = bytes / least;
  state.counters["attention"] = bytes / attending;
  state.counters["share"] = least / attending;
}

const bool kRegistered = [] {
  for (const KernelTable* table : AvailableTables(DetectCpuFeatures())) {
    if (table->name == "scalar") continue;
    for (const Shape& shape : kShapes) {
      for (const KvFormat format : {KvFormat::kF16, KvFormat::kQ8}) {
        const std::string name = std::string(shape.name) +
                                 (format == KvFormat::kF16 ? "/f16/" : "/q8/") +
                                 std::string(table->name);
        benchmark::RegisterBenchmark(name.c_str(), Decode, table, shape, format)
            ->UseManualTime();
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace sluice::kernels
