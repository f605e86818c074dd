#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "kernels/kernel_table.h"

namespace sluice::kernels {
namespace {

std::vector<std::string_view> Names(const CpuFeatures& features) {
  std::vector<std::string_view> names;
  for (const KernelTable* table : AvailableTables(features)) {
    names.push_back(table->name);
  }
  return names;
}

using NameList = std::vector<std::string_view>;

TEST(DispatchTest, ScalarAlwaysRuns) {
  EXPECT_EQ(Names({}), NameList{"scalar"});
}

#if defined(__x86_64__)
TEST(DispatchTest, BestTableComesFirst) {
  EXPECT_EQ(Names({.avx2_fma_f16c = true}), (NameList{"avx2", "scalar"}));
  EXPECT_EQ(Names({.avx2_fma_f16c = true, .avx512 = true, .avx512_vnni = true}),
            (NameList{"avx512", "avx2", "scalar"}));
}

TEST(DispatchTest, Avx512NeedsVnniAndAvx2) {
  EXPECT_EQ(Names({.avx2_fma_f16c = true, .avx512 = true}),
            (NameList{"avx2", "scalar"}));
  EXPECT_EQ(Names({.avx512 = true, .avx512_vnni = true}), NameList{"scalar"});
}

TEST(DispatchTest, DetectionIsTheCompilersView) {
  const CpuFeatures features = DetectCpuFeatures();
  EXPECT_EQ(features.avx2_fma_f16c,
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(features.avx512, __builtin_cpu_supports("avx512f") &&
                                 __builtin_cpu_supports("avx512bw") &&
                                 __builtin_cpu_supports("avx512vl") &&
                                 __builtin_cpu_supports("avx512dq"));
  EXPECT_EQ(features.avx512_vnni, __builtin_cpu_supports("avx512vnni") != 0);
}
#elif defined(__aarch64__)
TEST(DispatchTest, BestTableComesFirst) {
  EXPECT_EQ(Names({.neon = true}), (NameList{"neon", "scalar"}));
  EXPECT_EQ(Names({.neon = true, .dotprod = true}),
            (NameList{"dotprod", "neon", "scalar"}));
  EXPECT_EQ(Names({.neon = true, .dotprod = true, .i8mm = true}),
            (NameList{"i8mm", "dotprod", "neon", "scalar"}));
}

TEST(DispatchTest, EachArmTableNeedsTheOneBeforeIt) {
  EXPECT_EQ(Names({.neon = true, .i8mm = true}), (NameList{"neon", "scalar"}));
  EXPECT_EQ(Names({.dotprod = true, .i8mm = true}), NameList{"scalar"});
}

// Every 64-bit Arm processor that runs Linux has it.
TEST(DispatchTest, NeonIsDetected) { EXPECT_TRUE(DetectCpuFeatures().neon); }
#endif

TEST(DispatchTest, FindTableGivesTheTableOfThatName) {
  const CpuFeatures features = DetectCpuFeatures();
  for (const KernelTable* table : AvailableTables(features)) {
    EXPECT_EQ(FindTable(features, table->name), table);
  }
  EXPECT_EQ(FindTable(features, "avx"), nullptr);
  EXPECT_EQ(FindTable(features, ""), nullptr);
  EXPECT_EQ(FindTable({}, "avx2"), nullptr);
}

TEST(DispatchTest, TablesAreDistinct) {
  constexpr auto kQuantised = static_cast<std::size_t>(WeightType::kQ4_K);
  const auto tables = AvailableTables(DetectCpuFeatures());
  for (std::size_t i = 0; i + 1 < tables.size(); ++i) {
    EXPECT_NE(tables[i]->matmul[kQuantised], tables[i + 1]->matmul[kQuantised]);
    EXPECT_NE(tables[i]->matmul_rows8[kQuantised],
              tables[i + 1]->matmul_rows8[kQuantised]);
    EXPECT_NE(tables[i]->multiply_peak, tables[i + 1]->multiply_peak);
    EXPECT_NE(tables[i]->attention, tables.back()->attention);
    EXPECT_NE(tables[i]->rms_norm, tables.back()->rms_norm);
    EXPECT_NE(tables[i]->matmul[0], tables.back()->matmul[0]);
  }
}

TEST(DispatchTest, EveryTableHasWhatScalarHas) {
  const KernelTable& scalar = *AvailableTables({}).back();
  for (const KernelTable* table : AvailableTables(DetectCpuFeatures())) {
    SCOPED_TRACE(table->name);
    for (std::size_t type = 0; type < kWeightTypeLimit; ++type) {
      EXPECT_EQ(table->matmul[type] != nullptr, scalar.matmul[type] != nullptr)
          << type;
      EXPECT_EQ(table->dequantize[type] != nullptr,
                scalar.dequantize[type] != nullptr)
          << type;
    }
    for (std::size_t format = 0; format < kActivationFormats; ++format) {
      EXPECT_EQ(table->quantize[format] != nullptr,
                scalar.quantize[format] != nullptr)
          << format;
    }
    EXPECT_NE(table->rms_norm, nullptr);
    EXPECT_NE(table->rope_neox, nullptr);
    EXPECT_NE(table->softmax, nullptr);
    EXPECT_NE(table->swiglu, nullptr);
    EXPECT_NE(table->reglu, nullptr);
    EXPECT_NE(table->add, nullptr);
    EXPECT_NE(table->axpy, nullptr);
    EXPECT_NE(table->to_f16, nullptr);
    EXPECT_NE(table->attention, nullptr);
  }
}

}  // namespace
}  // namespace sluice::kernels
