// The parts that a KernelTable is put together from: one function per part and
// instruction set, each in a file of its own, built with that instruction set's
// flags and nothing else. Internal to kernels/.
#ifndef SLUICE_KERNELS_ISA_PARTS_H_
#define SLUICE_KERNELS_ISA_PARTS_H_

#include "kernels/kernel_table.h"

namespace sluice::kernels {

// Products of quantised weights, and the activation formats they use:
// quant_*.cc of each instruction set.
void AddQuantScalar(KernelTable& table);
// Products of weights in the rows8 layout: rows8_*.cc.
void AddRows8Scalar(KernelTable& table);
// Everything on floats: vector operations, attention, F32/F16/BF16 products:
// vector_*.cc.
void AddVectorScalar(KernelTable& table);
// What the instruction set can do at most: peak_*.cc.
void AddPeakScalar(KernelTable& table);

#if defined(__x86_64__)
void AddQuantAvx2(KernelTable& table);
void AddRows8Avx2(KernelTable& table);
void AddVectorAvx2(KernelTable& table);
void AddPeakAvx2(KernelTable& table);
void AddQuantAvx512(KernelTable& table);
void AddRows8Avx512(KernelTable& table);
void AddVectorAvx512(KernelTable& table);
void AddPeakAvx512(KernelTable& table);
#endif

#if defined(__aarch64__)
void AddQuantNeon(KernelTable& table);
void AddRows8Neon(KernelTable& table);
void AddVectorNeon(KernelTable& table);
void AddPeakNeon(KernelTable& table);
void AddQuantDotprod(KernelTable& table);
void AddRows8Dotprod(KernelTable& table);
void AddPeakDotprod(KernelTable& table);
void AddQuantI8mm(KernelTable& table);
void AddRows8I8mm(KernelTable& table);
void AddPeakI8mm(KernelTable& table);
#endif

}  // namespace sluice::kernels

#endif  // SLUICE_KERNELS_ISA_PARTS_H_
