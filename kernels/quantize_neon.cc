// Quantisation of activations with NEON, as kernels/activations.h defines it.
#include "kernels/quant_parts.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernels/activations.h"

namespace sluice::kernels {
namespace {

// The largest magnitude as bits: their order is that of the values, with NaN on
// top.
std::uint32_t MaxBits(const float* x, std::size_t n) {
  const uint32x4_t magnitude = vdupq_n_u32(0x7FFFFFFF);
  uint32x4_t max[2] = {vdupq_n_u32(0), vdupq_n_u32(0)};
  for (std::size_t i = 0; i < n; i += 8) {
    for (std::size_t j = 0; j < 2; ++j) {
      const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + i + 4 * j));
      max[j] = vmaxq_u32(max[j], vandq_u32(bits, magnitude));
    }
  }
  return vmaxvq_u32(vmaxq_u32(max[0], max[1]));
}

// 16 values times `factor`, rounded to nearest even. The products are in
// [-128, 128], so nothing is cut off.
int8x16_t Round16(const float* x, float factor) {
  int16x4_t q[4];
  for (int i = 0; i < 4; ++i) {
    q[i] = vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * i), factor)));
  }
  return vcombine_s8(vmovn_s16(vcombine_s16(q[0], q[1])),
                     vmovn_s16(vcombine_s16(q[2], q[3])));
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

// Quantises 16 values and returns their sum.
std::int16_t Quantize16(const float* x, const Scale& scale, std::byte* to) {
  const int8x16_t q = scale.zero ? vdupq_n_s8(0) : Round16(x, scale.inverse);
  vst1q_s8(reinterpret_cast<std::int8_t*>(to), q);
  return vaddlvq_s8(q);
}

// Quantises block b of a record of n values.
void Quantize32At(const float* x, std::size_t b, std::size_t n,
                  std::byte* out) {
  const Q8x32Layout layout(n);
  const Scale scale = ScaleOf(MaxBits(x, 32));
  const std::int32_t low = Quantize16(x, scale, out + 32 * b);
  const std::int32_t high = Quantize16(x + 16, scale, out + 32 * b + 16);
  const std::int32_t sum = low + high;
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
  for (std::size_t i = 0; i < 16; ++i) {
    sums16[i] = Quantize16(x + 16 * i, scale, out + 256 * b + 16 * i);
  }
  for (std::size_t i = 0; i < 8; ++i) {
    sums32[i] = static_cast<std::int16_t>(sums16[2 * i] + sums16[2 * i + 1]);
  }
}

// What quantising block b of a record lost.
void Residual(const float* x, std::size_t b, std::size_t block, float scale,
              const std::byte* record, float* lost) {
  const auto* q = reinterpret_cast<const std::int8_t*>(record) + b * block;
  const float32x4_t scales = vdupq_n_f32(scale);
  for (std::size_t i = 0; i < block; i += 8) {
    const int16x8_t wide = vmovl_s8(vld1_s8(q + i));
    const float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
    const float32x4_t high = vcvtq_f32_s32(vmovl_high_s16(wide));
    vst1q_f32(lost + i, vfmsq_f32(vld1q_f32(x + i), scales, low));
    vst1q_f32(lost + i + 4, vfmsq_f32(vld1q_f32(x + i + 4), scales, high));
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

void AddQuantizeNeon(KernelTable& table) {
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
