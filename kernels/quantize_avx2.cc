// Quantisation of activations with AVX2, as kernels/activations.h defines it.
#include "kernels/quant_parts.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/activations.h"

namespace sluice::kernels {
namespace {

// The largest magnitude as bits: their order is that of the values, with NaN on
// top.
std::uint32_t MaxBits(const float* x, std::size_t n) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i max = _mm256_setzero_si256();
  for (std::size_t i = 0; i < n; i += 8) {
    const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + i));
    max = _mm256_max_epu32(max, _mm256_and_si256(bits, magnitude));
  }
  __m128i half = _mm_max_epu32(_mm256_castsi256_si128(max),
                               _mm256_extracti128_si256(max, 1));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xB1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(half));
}

// 32 values times `factor`, rounded to nearest even. The products are in
// [-128, 128], so nothing saturates.
__m256i Round32(const float* x, __m256 factor) {
  __m256i q[4];
  for (int i = 0; i < 4; ++i) {
    q[i] =
        _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), factor));
  }
  // Packing works within 128-bit halves and leaves groups of four values out
  // of order.
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]),
                                            _mm256_packs_epi32(q[2], q[3]));
  return _mm256_permutevar8x32_epi32(packed,
                                     _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Sums of q[0..15] and q[16..31].
struct TwoSums {
  std::int32_t low;
  std::int32_t high;
};
TwoSums SumHalves(__m256i q) {
  // vpsadbw adds unsigned bytes, eight at a time: with 128 added to each.
  const __m256i biased = _mm256_xor_si256(q, _mm256_set1_epi8(-128));
  const __m256i sums = _mm256_sad_epu8(biased, _mm256_setzero_si256());
  const __m256i pairs =
      _mm256_add_epi64(sums, _mm256_shuffle_epi32(sums, 0x4E));
  constexpr std::int32_t kBias = 16 * 128;
  return {_mm256_extract_epi32(pairs, 0) - kBias,
          _mm256_extract_epi32(pairs, 4) - kBias};
}

// Scale of a block, and what its values are multiplied with: 0 where all q are
// to be 0.
struct Scale {
  float value;
  float inverse;
  bool zero;
};
Scale ScaleOf(std::uint32_t max_bits) {
  float max = 0.0F;
  __builtin_memcpy(&max, &max_bits, 4);
  if (max_bits >= 0x7F800000U) return {__builtin_nanf(""), 0.0F, true};
  if (max < 0x1p-100F) return {0.0F, 0.0F, true};
  return {max / 127.0F, 127.0F / max, false};
}

// Quantises block b of a record of n values.
void Quantize32At(const float* x, std::size_t b, std::size_t n,
                  std::byte* out) {
  const Q8x32Layout layout(n);
  const Scale scale = ScaleOf(MaxBits(x, 32));
  const __m256i q = scale.zero ? _mm256_setzero_si256()
                               : Round32(x, _mm256_set1_ps(scale.inverse));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * b), q);
  const TwoSums two = SumHalves(q);
  const std::int32_t sum = two.low + two.high;
  reinterpret_cast<float*>(out + layout.scales)[b] = scale.value;
  reinterpret_cast<std::int32_t*>(out + layout.sums)[b] = sum;
  reinterpret_cast<float*>(out + layout.scaled_sums)[b] =
      scale.value * static_cast<float>(sum);
}

void Quantize256At(const float* x, std::size_t b, std::size_t n,
                   std::byte* out) {
  const Q8x256Layout layout(n);
  auto* sums16 = reinterpret_cast<std::int16_t*>(out + layout.sums16) + 16 * b;
  auto* sums32 = reinterpret_cast<std::int16_t*>(out + layout.sums32) + 8 * b;
  const Scale scale = ScaleOf(MaxBits(x, 256));
  reinterpret_cast<float*>(out + layout.scales)[b] = scale.value;
  const __m256 factor = _mm256_set1_ps(scale.inverse);
  for (std::size_t i = 0; i < 8; ++i) {
    const __m256i q =
        scale.zero ? _mm256_setzero_si256() : Round32(x + 32 * i, factor);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 256 * b + 32 * i), q);
    const TwoSums two = SumHalves(q);
    sums16[2 * i] = static_cast<std::int16_t>(two.low);
    sums16[2 * i + 1] = static_cast<std::int16_t>(two.high);
    sums32[i] = static_cast<std::int16_t>(two.low + two.high);
  }
}

// What quantising block b of a record lost.
void Residual(const float* x, std::size_t b, std::size_t block, float scale,
              const std::byte* record, float* lost) {
  for (std::size_t i = 0; i < block; i += 8) {
    const __m256i q = _mm256_cvtepi8_epi32(_mm_loadl_epi64(
        reinterpret_cast<const __m128i*>(record + b * block + i)));
    _mm256_storeu_ps(
        lost + i, _mm256_fnmadd_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(q),
                                   _mm256_loadu_ps(x + i)));
  }
}

void Quantize32(const float* x, std::size_t n, std::byte* out) {
  for (std::size_t b = 0; b < n / 32; ++b) Quantize32At(x + 32 * b, b, n, out);
}

void Quantize256(const float* x, std::size_t n, std::byte* out) {
  for (std::size_t b = 0; b < n / 256; ++b) {
    Quantize256At(x + 256 * b, b, n, out);
  }
}

void QuantizeFine32(const float* x, std::size_t n, std::byte* out,
                    std::byte* lost) {
  const auto* scales = reinterpret_cast<float*>(out + Q8x32Layout(n).scales);
  float left[32];
  for (std::size_t b = 0; b < n / 32; ++b) {
    Quantize32At(x + 32 * b, b, n, out);
    Residual(x + 32 * b, b, 32, scales[b], out, left);
    Quantize32At(left, b, n, lost);
  }
}

void QuantizeFine256(const float* x, std::size_t n, std::byte* out,
                     std::byte* lost) {
  const auto* scales = reinterpret_cast<float*>(out + Q8x256Layout(n).scales);
  float left[256];
  for (std::size_t b = 0; b < n / 256; ++b) {
    Quantize256At(x + 256 * b, b, n, out);
    Residual(x + 256 * b, b, 256, scales[b], out, left);
    Quantize256At(left, b, n, lost);
  }
}

}  // namespace

void AddQuantizeAvx2(KernelTable& table) {
  table.quantize[static_cast<std::size_t>(ActivationFormat::kQ8x32)] =
      Quantize32;
  table.quantize[static_cast<std::size_t>(ActivationFormat::kQ8x256)] =
      Quantize256;
  table.quantize_fine[static_cast<std::size_t>(ActivationFormat::kQ8x32)] =
      QuantizeFine32;
  table.quantize_fine[static_cast<std::size_t>(ActivationFormat::kQ8x256)] =
      QuantizeFine256;
}

}  // namespace sluice::kernels

#endif
