// Products by table look-up in the manner of T-MAC (Wei et al. 2024) against
// those by multiplying, one token, by bits per weight:
//
//   rounded/BITS/ISA   vpshufb over bit planes, sums rounded to int8
//   exact/BITS/ISA     the same, sums in two bytes
//   multiply/TYPE/ISA  the engine's product in the rows8 layout, exact
//
// A table of 16 has the sums of every choice of four activations; a nibble with
// one bit of four weights of a row finds the sum, 32 or 64 rows at a time, and
// planes are added times powers of two. What is timed is as favourable to
// tables as can be: they are built beforehand, and weights have one scale for
// 256 and no minima (as those of TQ2_0). MAC/s is comparable between all.
#include <benchmark/benchmark.h>

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/rows8.h"

namespace sluice::kernels {
namespace {

// Weights of 4 bits are 1 MiB, which stays in the second-level cache.
constexpr std::size_t kRows = 1024;
constexpr std::size_t kColumns = 2048;
constexpr std::size_t kSuperColumns = 256;
constexpr std::size_t kGroups = kSuperColumns / 4;  // of a superblock
// Sixteen sums in one or two bytes, the lower bytes first.
template <bool kExact>
constexpr std::size_t kTableBytes = kExact ? 32 : 16;

#define SLUICE_AVX2 __attribute__((target("avx2,fma,f16c")))
#define SLUICE_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

// Adds 2^plane times the sums of one plane of a superblock: `planes` has a
// nibble for each of 64 rows in each group of columns, rows 0 .. 31 low.
template <bool kExact, int kPlane>
SLUICE_AVX2 void AddPlane256(const std::uint8_t* planes,
                             const std::int8_t* tables, __m256i (&sums)[8]) {
  const __m256i low4 = _mm256_set1_epi8(15);
  const __m256i ones = _mm256_set1_epi8(1);
  __m256i acc[4] = {};
  for (std::size_t g = 0; kExact && g < kGroups; ++g) {
    const __m256i low = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(tables + 32 * g)));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128(
        reinterpret_cast<const __m128i*>(tables + 32 * g + 16)));
    const __m256i packed =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(planes + 32 * g));
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i at = _mm256_and_si256(
          half == 0 ? packed : _mm256_srli_epi16(packed, 4), low4);
      const __m256i a = _mm256_shuffle_epi8(low, at);
      const __m256i b = _mm256_shuffle_epi8(high, at);
      acc[2 * half] =
          _mm256_add_epi16(acc[2 * half], _mm256_unpacklo_epi8(a, b));
      acc[2 * half + 1] =
          _mm256_add_epi16(acc[2 * half + 1], _mm256_unpackhi_epi8(a, b));
    }
  }
  for (std::size_t g = 0; !kExact && g < kGroups; g += 2) {
    __m256i found[2][2];
    for (std::size_t i = 0; i < 2; ++i) {
      const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128(
          reinterpret_cast<const __m128i*>(tables + 16 * (g + i))));
      const __m256i packed = _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(planes + 32 * (g + i)));
      found[i][0] = _mm256_shuffle_epi8(table, _mm256_and_si256(packed, low4));
      found[i][1] = _mm256_shuffle_epi8(
          table, _mm256_and_si256(_mm256_srli_epi16(packed, 4), low4));
    }
    // Two groups to pairs of 16 bits.
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i a = found[0][half];
      const __m256i b = found[1][half];
      acc[2 * half] = _mm256_add_epi16(
          acc[2 * half],
          _mm256_maddubs_epi16(ones, _mm256_unpacklo_epi8(a, b)));
      acc[2 * half + 1] = _mm256_add_epi16(
          acc[2 * half + 1],
          _mm256_maddubs_epi16(ones, _mm256_unpackhi_epi8(a, b)));
    }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(acc[i]));
    const __m256i high =
        _mm256_cvtepi16_epi32(_mm256_extracti128_si256(acc[i], 1));
    sums[2 * i] = _mm256_add_epi32(sums[2 * i], _mm256_slli_epi32(low, kPlane));
    sums[2 * i + 1] =
        _mm256_add_epi32(sums[2 * i + 1], _mm256_slli_epi32(high, kPlane));
  }
}

template <bool kExact, int kBits>
SLUICE_AVX2 void Lookup256(const std::uint8_t* planes,
                           const std::int8_t* tables, const float* scales,
                           float* y) {
  for (std::size_t row = 0; row < kRows; row += 64) {
    __m256 acc[8] = {};
    for (std::size_t c = 0; c < kColumns; c += kSuperColumns) {
      __m256i sums[8] = {};
      const std::int8_t* table = tables + c * kTableBytes<kExact> / 4;
      AddPlane256<kExact, 0>(planes, table, sums);
      if constexpr (kBits > 1)
        AddPlane256<kExact, 1>(planes + 2048, table, sums);
      if constexpr (kBits > 2)
        AddPlane256<kExact, 2>(planes + 4096, table, sums);
      if constexpr (kBits > 3)
        AddPlane256<kExact, 3>(planes + 6144, table, sums);
      planes += std::size_t{2048} * kBits;
      for (std::size_t i = 0; i < 8; ++i, scales += 8) {
        acc[i] = _mm256_fmadd_ps(_mm256_loadu_ps(scales),
                                 _mm256_cvtepi32_ps(sums[i]), acc[i]);
      }
    }
    for (std::size_t i = 0; i < 8; ++i)
      _mm256_storeu_ps(y + row + 8 * i, acc[i]);
  }
}

// The same for 128 rows.
template <bool kExact, int kPlane>
SLUICE_AVX512 void AddPlane512(const std::uint8_t* planes,
                               const std::int8_t* tables, __m512i (&sums)[8]) {
  const __m512i low4 = _mm512_set1_epi8(15);
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i acc[4];
  for (__m512i& a : acc) a = _mm512_setzero_si512();
  for (std::size_t g = 0; kExact && g < kGroups; ++g) {
    const __m512i low = _mm512_broadcast_i32x4(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(tables + 32 * g)));
    const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128(
        reinterpret_cast<const __m128i*>(tables + 32 * g + 16)));
    const __m512i packed = _mm512_loadu_si512(planes + 64 * g);
    for (std::size_t half = 0; half < 2; ++half) {
      const __m512i at = _mm512_and_si512(
          half == 0 ? packed : _mm512_srli_epi16(packed, 4), low4);
      const __m512i a = _mm512_shuffle_epi8(low, at);
      const __m512i b = _mm512_shuffle_epi8(high, at);
      acc[2 * half] =
          _mm512_add_epi16(acc[2 * half], _mm512_unpacklo_epi8(a, b));
      acc[2 * half + 1] =
          _mm512_add_epi16(acc[2 * half + 1], _mm512_unpackhi_epi8(a, b));
    }
  }
  for (std::size_t g = 0; !kExact && g < kGroups; g += 2) {
    __m512i found[2][2];
    for (std::size_t i = 0; i < 2; ++i) {
      const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128(
          reinterpret_cast<const __m128i*>(tables + 16 * (g + i))));
      const __m512i packed = _mm512_loadu_si512(planes + 64 * (g + i));
      found[i][0] = _mm512_shuffle_epi8(table, _mm512_and_si512(packed, low4));
      found[i][1] = _mm512_shuffle_epi8(
          table, _mm512_and_si512(_mm512_srli_epi16(packed, 4), low4));
    }
    for (std::size_t half = 0; half < 2; ++half) {
      const __m512i a = found[0][half];
      const __m512i b = found[1][half];
      acc[2 * half] = _mm512_add_epi16(
          acc[2 * half],
          _mm512_maddubs_epi16(ones, _mm512_unpacklo_epi8(a, b)));
      acc[2 * half + 1] = _mm512_add_epi16(
          acc[2 * half + 1],
          _mm512_maddubs_epi16(ones, _mm512_unpackhi_epi8(a, b)));
    }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(acc[i]));
    const __m512i high =
        _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(acc[i], 1));
    sums[2 * i] = _mm512_add_epi32(sums[2 * i], _mm512_slli_epi32(low, kPlane));
    sums[2 * i + 1] =
        _mm512_add_epi32(sums[2 * i + 1], _mm512_slli_epi32(high, kPlane));
  }
}

template <bool kExact, int kBits>
SLUICE_AVX512 void Lookup512(const std::uint8_t* planes,
                             const std::int8_t* tables, const float* scales,
                             float* y) {
  for (std::size_t row = 0; row < kRows; row += 128) {
    __m512 acc[8];
    for (__m512& a : acc) a = _mm512_setzero_ps();
    for (std::size_t c = 0; c < kColumns; c += kSuperColumns) {
      __m512i sums[8];
      for (__m512i& s : sums) s = _mm512_setzero_si512();
      const std::int8_t* table = tables + c * kTableBytes<kExact> / 4;
      AddPlane512<kExact, 0>(planes, table, sums);
      if constexpr (kBits > 1)
        AddPlane512<kExact, 1>(planes + 4096, table, sums);
      if constexpr (kBits > 2)
        AddPlane512<kExact, 2>(planes + 8192, table, sums);
      if constexpr (kBits > 3)
        AddPlane512<kExact, 3>(planes + 12288, table, sums);
      planes += std::size_t{4096} * kBits;
      for (std::size_t i = 0; i < 8; ++i, scales += 16) {
        acc[i] = _mm512_fmadd_ps(_mm512_loadu_ps(scales),
                                 _mm512_cvtepi32_ps(sums[i]), acc[i]);
      }
    }
    for (std::size_t i = 0; i < 8; ++i) {
      _mm512_storeu_ps(y + row + 16 * i, acc[i]);
    }
  }
}

std::vector<std::byte> AnyBytes(std::size_t n) {
  std::vector<std::byte> bytes(n);
  std::uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24 & 0x3F);  // no NaN as a half
  }
  return bytes;
}

void CountMacs(benchmark::State& state) {
  state.counters["MAC/s"] =
      benchmark::Counter(static_cast<double>(kRows * kColumns),
                         benchmark::Counter::kIsIterationInvariantRate);
}

using LookupFn = void (*)(const std::uint8_t*, const std::int8_t*, const float*,
                          float*);

void Lookup(benchmark::State& state, LookupFn lookup, std::size_t bits) {
  const std::vector<std::byte> planes = AnyBytes(kRows * kColumns / 8 * bits);
  const std::vector<std::byte> tables = AnyBytes(kColumns * 8);
  const std::vector<float> scales(kRows * kColumns / kSuperColumns, 0.01F);
  std::vector<float> y(kRows);
  for (auto _ : state) {
    lookup(reinterpret_cast<const std::uint8_t*>(planes.data()),
           reinterpret_cast<const std::int8_t*>(tables.data()), scales.data(),
           y.data());
    benchmark::ClobberMemory();
  }
  CountMacs(state);
}

void Multiply(benchmark::State& state, const KernelTable* table,
              WeightType type, std::size_t row_bytes) {
  const std::vector<std::byte> weights = AnyBytes(kRows * row_bytes);
  const ActivationFormat format = FormatFor(type);
  const std::vector<float> x(kColumns, 0.5F);
  std::vector<std::byte> activations(ActivationBytes(format, kColumns));
  table->quantize[static_cast<std::size_t>(format)](x.data(), kColumns,
                                                    activations.data());
  std::vector<float> y(kRows);
  for (auto _ : state) {
    table->matmul_rows8[static_cast<std::size_t>(type)](
        {.weights = weights.data(),
         .row_bytes = row_bytes,
         .columns = kColumns,
         .row_end = kRows,
         .activations = activations.data(),
         .y = y.data()});
    benchmark::ClobberMemory();
  }
  CountMacs(state);
}

void Register(const KernelTable* table) {
  const std::string isa(table->name);
  const bool wide = isa == "avx512";
  const LookupFn rounded[] = {wide ? Lookup512<false, 2> : Lookup256<false, 2>,
                              wide ? Lookup512<false, 3> : Lookup256<false, 3>,
                              wide ? Lookup512<false, 4> : Lookup256<false, 4>};
  const LookupFn exact[] = {wide ? Lookup512<true, 2> : Lookup256<true, 2>,
                            wide ? Lookup512<true, 3> : Lookup256<true, 3>,
                            wide ? Lookup512<true, 4> : Lookup256<true, 4>};
  const struct {
    const char* name;
    WeightType type;
    std::size_t row_bytes;
  } types[] = {{"TQ2_0", WeightType::kTQ2_0, kColumns / 256 * 66},
               {"Q2_K", WeightType::kQ2_K, kColumns / 256 * 84},
               {"Q3_K", WeightType::kQ3_K, kColumns / 256 * 110},
               {"Q4_0", WeightType::kQ4_0, kColumns / 32 * 18},
               {"Q4_K", WeightType::kQ4_K, kColumns / 256 * 144}};
  for (std::size_t bits = 2; bits <= 4; ++bits) {
    const std::string name = std::to_string(bits) + "/" + isa;
    benchmark::RegisterBenchmark(("rounded/" + name).c_str(), Lookup,
                                 rounded[bits - 2], bits);
    benchmark::RegisterBenchmark(("exact/" + name).c_str(), Lookup,
                                 exact[bits - 2], bits);
  }
  for (const auto& type : types) {
    benchmark::RegisterBenchmark(
        (std::string("multiply/") + type.name + "/" + isa).c_str(), Multiply,
        table, type.type, type.row_bytes);
  }
}

const bool kRegistered = [] {
  for (const KernelTable* table : AvailableTables(DetectCpuFeatures())) {
    if (table->name != "scalar") Register(table);
  }
  return true;
}();

}  // namespace
}  // namespace sluice::kernels

#endif  // __x86_64__
