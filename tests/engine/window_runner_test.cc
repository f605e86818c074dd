// Running a text again with some experts low: what is begun at a later layer is
// what the whole model would have given.
#include "engine/window_runner.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "engine/container_api.h"
#include "engine/plane_error.h"
#include "kernels/planes.h"
#include "kernels/rows8.h"

namespace sluice {
namespace {

constexpr std::size_t kWindow = 40;

class WindowRunnerTest : public ::testing::Test {
 protected:
  WindowRunnerTest() {
    RepackModelOptions options;
    options.input = SLUICE_SOURCE_DIR "/tests/data/quants/micro-Q8_0.gguf";
    options.output = path_;
    options.planes = true;
    options.force = true;
    const auto report = RepackModel(options);
    EXPECT_TRUE(report) << report.error().message;
    for (std::size_t i = 0; i < kWindow; ++i) {
      text_.push_back(static_cast<TokenId>((i * i * 7 + i * 3) % 500));
    }
  }
  ~WindowRunnerTest() override { std::filesystem::remove(path_); }

  std::unique_ptr<EngineImpl> Open(EngineOptions options) {
    options.context = kWindow;
    options.predictor = "none";
    auto engine = EngineImpl::Load(path_, options);
    EXPECT_TRUE(engine) << engine.error().message;
    return *std::move(engine);
  }
  std::vector<double> Run(EngineImpl& engine, const std::vector<bool>& low) {
    auto runner = WindowRunner::Create(engine, kWindow);
    EXPECT_TRUE(runner);
    runner->SetLow(low);
    std::vector<double> losses;
    EXPECT_TRUE(runner->Run(text_, /*keep=*/false, losses));
    EXPECT_EQ(losses.size(), kWindow - 1);
    return losses;
  }

  const std::string path_ =
      ::testing::TempDir() + "window_runner_test." +
      ::testing::UnitTest::GetInstance()->current_test_info()->name();
  std::vector<TokenId> text_;
};

TEST_F(WindowRunnerTest, AllLowIsTheBase) {
  const auto full = Open({});
  EngineOptions low_precision;
  low_precision.precision = ExpertPrecision::kBase;
  const auto base = Open(low_precision);
  const std::vector<double> low = Run(*full, std::vector<bool>(16, true));
  EXPECT_EQ(low, Run(*base, {}));
  EXPECT_NE(low, Run(*full, {}));
  EXPECT_EQ(Run(*full, std::vector<bool>(16)), Run(*full, {}));
}

TEST_F(WindowRunnerTest, WhatIsRunAgainIsTheWholeRun) {
  EngineOptions streamed;
  streamed.force_streaming = true;
  streamed.prefill_chunk = 7;
  for (const EngineOptions& options : {EngineOptions{}, streamed}) {
    const auto engine = Open(options);
    auto runner = WindowRunner::Create(*engine, kWindow);
    ASSERT_TRUE(runner);
    std::vector<double> full;
    ASSERT_TRUE(runner->Run(text_, /*keep=*/true, full));
    std::size_t changed = 0;
    for (std::size_t expert = 0; expert < 16; ++expert) {
      std::vector<bool> low(16);
      low[expert] = true;
      runner->SetLow(low);
      std::vector<double> again;
      std::vector<double> divergences;
      const auto first = static_cast<std::uint32_t>(expert / 8);
      ASSERT_TRUE(runner->Rerun(first, again, divergences));
      EXPECT_EQ(again, Run(*engine, low)) << expert;
      ASSERT_EQ(divergences.size(), again.size());
      for (std::size_t i = 0; i < again.size(); ++i) {
        EXPECT_GT(divergences[i], -1e-6);
      }
      changed += again != full;
    }
    EXPECT_GT(changed, 8u);
    runner->SetLow({});
    std::vector<double> again;
    std::vector<double> divergences;
    ASSERT_TRUE(runner->Rerun(1, again, divergences));
    EXPECT_EQ(again, full);
    for (const double divergence : divergences)
      EXPECT_NEAR(divergence, 0, 1e-6);
  }
}

TEST_F(WindowRunnerTest, ProgressIsToldAndCancels) {
  const auto engine = Open({});
  auto runner = WindowRunner::Create(*engine, kWindow);
  ASSERT_TRUE(runner);
  std::vector<double> losses;
  std::size_t work = 0;
  runner->ReportProgress([&](std::size_t tokens, std::size_t layers) {
    work += tokens * layers;
    return true;
  });
  ASSERT_TRUE(runner->Run(text_, /*keep=*/true, losses));
  EXPECT_EQ(work, kWindow * 2);
  std::vector<double> divergences;
  ASSERT_TRUE(runner->Rerun(1, losses, divergences));
  EXPECT_EQ(work, kWindow * 3);
  runner->ReportProgress([](std::size_t, std::size_t) { return false; });
  const auto cancelled = runner->Run(text_, /*keep=*/false, losses);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
}

TEST_F(WindowRunnerTest, EveryExpertIsVisitedOnce) {
  EngineOptions streamed;
  streamed.force_streaming = true;
  const auto engine = Open(streamed);
  auto runner = WindowRunner::Create(*engine, kWindow);
  ASSERT_TRUE(runner);
  const std::vector<std::uint16_t> ids = {5, 2};
  std::vector<std::size_t> seen;
  ASSERT_TRUE(runner->VisitExperts(
      1, ids, [&](std::size_t i, const storage::ExpertView& expert) {
        seen.push_back(i);
        const double error = PlaneError(engine->compute().kernels, expert);
        EXPECT_GT(error, 0.03);
        EXPECT_LT(error, 0.15);
      }));
  EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), std::size_t{0}), 1u);
  EXPECT_EQ(seen.size(), 2u);
}

// Eight rows of two superblocks, by the definition of the layout.
TEST(PlaneError, IsThatOfTheRowsOneByOne) {
  constexpr std::size_t kColumns = 512;
  constexpr std::size_t kBase = 2 * kernels::kPlane2Bytes;
  constexpr std::size_t kResidual = 2 * kernels::kResidual2Bytes;
  std::vector<std::byte> base(8 * kBase);
  std::vector<std::byte> residual(8 * kResidual);
  std::uint32_t state = 1;
  const auto fill = [&](std::vector<std::byte>& bytes, std::size_t block) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      state = state * 1664525 + 1013904223;
      bytes[i] = static_cast<std::byte>(state >> 24);
      if (i % block == 1) bytes[i] = std::byte{0x2C};  // d: about 0.06
    }
  };
  fill(base, kernels::kPlane2Bytes);
  fill(residual, kernels::kResidual2Bytes);
  const kernels::KernelTable& table =
      *kernels::AvailableTables(kernels::DetectCpuFeatures()).front();
  double error = 0;
  double weights = 0;
  for (std::size_t row = 0; row < 8; ++row) {
    std::vector<float> low(kColumns);
    std::vector<float> full(kColumns);
    table.dequantize[static_cast<std::size_t>(kernels::WeightType::kPlane2)](
        &base[row * kBase], kColumns, low.data());
    kernels::DequantizePlanes(&base[row * kBase], &residual[row * kResidual],
                              kColumns, full.data());
    for (std::size_t i = 0; i < kColumns; ++i) {
      error += (double{low[i]} - full[i]) * (double{low[i]} - full[i]);
      weights += double{full[i]} * full[i];
    }
  }
  std::vector<std::byte> base8(base.size());
  kernels::InterleaveRows8(kernels::WeightType::kPlane2, base.data(), kBase, 8,
                           kColumns, base8.data());
  std::vector<std::byte> residual8(residual.size());
  for (std::size_t i = 0; i < residual.size(); ++i) {
    const std::size_t row = i / kResidual;
    const std::size_t block = i % kResidual / kernels::kResidual2Bytes;
    const std::size_t at = i % kernels::kResidual2Bytes;
    const std::size_t place =
        at < 2 ? 2 * row + at
               : 16 + 32 * ((at - 2) / 4) + 4 * row + (at - 2) % 4;
    residual8[block * 8 * kernels::kResidual2Bytes + place] = residual[i];
  }
  const storage::MatrixView matrix = {.type = storage::TensorType::kPlane2,
                                      .rows = 8,
                                      .columns = kColumns,
                                      .row_bytes = kBase,
                                      .data = base8.data(),
                                      .layout = storage::MatrixLayout::kRows8,
                                      .residual = residual8.data(),
                                      .residual_row_bytes = kResidual};
  const storage::ExpertView expert = {matrix, matrix, matrix};
  EXPECT_GT(error, 0);
  EXPECT_NEAR(PlaneError(table, expert), error / weights,
              1e-9 * error / weights);
}

}  // namespace
}  // namespace sluice
