// The table of each instruction set, and which of them run where.
#include <array>

#include "kernels/isa_parts.h"
#include "kernels/kernel_table.h"

namespace sluice::kernels {
namespace {

// A table starts as a copy of the next best one, so that a routine written for
// no instruction set in particular, or not yet for this one, has an entry in
// all. Results are the same to the bit whichever it is.
KernelTable MakeScalarTable() {
  KernelTable table;
  table.name = "scalar";
  AddQuantScalar(table);
  AddRows8Scalar(table);
  AddVectorScalar(table);
  AddPeakScalar(table);
  return table;
}

#if defined(__x86_64__)

KernelTable MakeAvx2Table() {
  KernelTable table = MakeScalarTable();
  table.name = "avx2";
  AddQuantAvx2(table);
  AddRows8Avx2(table);
  AddVectorAvx2(table);
  AddPeakAvx2(table);
  return table;
}

KernelTable MakeAvx512Table() {
  KernelTable table = MakeAvx2Table();
  table.name = "avx512";
  AddQuantAvx512(table);
  AddRows8Avx512(table);
  AddVectorAvx512(table);
  AddPeakAvx512(table);
  return table;
}

// How many of the tables, counted from the last, run on `features`. The avx512
// files are built with VNNI and inherit routines of AVX2, so they need both.
std::size_t TablesFor(const CpuFeatures& features) {
  if (!features.avx2_fma_f16c) return 1;
  return features.avx512 && features.avx512_vnni ? 3 : 2;
}

std::span<const KernelTable* const> AllTables() {
  static const KernelTable scalar = MakeScalarTable();
  static const KernelTable avx2 = MakeAvx2Table();
  static const KernelTable avx512 = MakeAvx512Table();
  static const std::array<const KernelTable*, 3> tables = {&avx512, &avx2,
                                                           &scalar};
  return tables;
}

#elif defined(__aarch64__)

KernelTable MakeNeonTable() {
  KernelTable table = MakeScalarTable();
  table.name = "neon";
  AddQuantNeon(table);
  AddRows8Neon(table);
  AddVectorNeon(table);
  AddPeakNeon(table);
  return table;
}

KernelTable MakeDotprodTable() {
  KernelTable table = MakeNeonTable();
  table.name = "dotprod";
  AddQuantDotprod(table);
  AddRows8Dotprod(table);
  AddPeakDotprod(table);
  return table;
}

KernelTable MakeI8mmTable() {
  KernelTable table = MakeDotprodTable();
  table.name = "i8mm";
  AddQuantI8mm(table);
  AddRows8I8mm(table);
  AddPeakI8mm(table);
  return table;
}

// As above; the i8mm files are built with dot products, too.
std::size_t TablesFor(const CpuFeatures& features) {
  if (!features.neon) return 1;
  if (!features.dotprod) return 2;
  return features.i8mm ? 4 : 3;
}

std::span<const KernelTable* const> AllTables() {
  static const KernelTable scalar = MakeScalarTable();
  static const KernelTable neon = MakeNeonTable();
  static const KernelTable dotprod = MakeDotprodTable();
  static const KernelTable i8mm = MakeI8mmTable();
  static const std::array<const KernelTable*, 4> tables = {&i8mm, &dotprod,
                                                           &neon, &scalar};
  return tables;
}

#else

std::size_t TablesFor(const CpuFeatures&) { return 1; }

std::span<const KernelTable* const> AllTables() {
  static const KernelTable scalar = MakeScalarTable();
  static const std::array<const KernelTable*, 1> tables = {&scalar};
  return tables;
}

#endif

}  // namespace

std::span<const KernelTable* const> AvailableTables(
    const CpuFeatures& features) {
  return AllTables().last(TablesFor(features));
}

const KernelTable* FindTable(const CpuFeatures& features,
                             std::string_view name) {
  for (const KernelTable* table : AvailableTables(features)) {
    if (table->name == name) return table;
  }
  return nullptr;
}

}  // namespace sluice::kernels
