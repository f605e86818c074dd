#include "engine/guess_routers.h"

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr std::uint32_t kExperts = 16;
constexpr std::uint32_t kWidth = 64;

class GuessRouters : public ::testing::Test {
 protected:
  GuessRouters() : weights_(std::size_t{kExperts} * kWidth) {
    config_.experts = kExperts;
    config_.embedding = kWidth;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      weights_[i] = std::sin(static_cast<float>(i)) *
                    static_cast<float>(i / kWidth);  // the first row is 0
    }
    copy_.resize(GuessRouterBytes(config_));
  }

  storage::MatrixView Router() const {
    return {.type = storage::TensorType::kF32,
            .rows = kExperts,
            .columns = kWidth,
            .row_bytes = kWidth * sizeof(float),
            .data = reinterpret_cast<const std::byte*>(weights_.data())};
  }

  // What `router` makes of a token, by all rows.
  std::vector<float> Scores(const storage::MatrixView& router) {
    std::vector<float> x(kWidth);
    for (std::size_t i = 0; i < kWidth; ++i) {
      x[i] = std::cos(static_cast<float>(3 * i));
    }
    std::vector<std::byte> buffer(QuantizedInput::Bytes(1, kWidth));
    QuantizedInput input(buffer);
    input.Set(x.data(), 1, kWidth);
    std::vector<float> scores(kExperts);
    const Product product = {
        .weights = &router,
        .x = input.For(compute_, router, Precision::kPlain),
        .y = scores.data(),
        .y_stride = kExperts};
    RunProducts(compute_, {&product, 1});
    return scores;
  }

  ModelConfig config_;
  std::vector<float> weights_;
  std::vector<std::byte> copy_;
  ThreadPool pool_{2};
  PhaseClock clock_;
  Compute compute_{
      *kernels::AvailableTables(kernels::DetectCpuFeatures()).front(), pool_,
      clock_};
};

TEST_F(GuessRouters, ScoreNearlyAsTheRoutersDo) {
  const storage::MatrixView router = Router();
  const storage::MatrixView copy =
      MakeGuessRouter(compute_, router, copy_.data());
  EXPECT_EQ(copy.type, storage::TensorType::kQ8_0);
  EXPECT_EQ(copy.data, copy_.data());
  EXPECT_LE(copy.bytes(), copy_.size());
  const std::vector<float> exact = Scores(router);
  const std::vector<float> close = Scores(copy);
  for (std::size_t row = 0; row < kExperts; ++row) {
    // Half a step of the weights and one of the inputs, for each product.
    const float most = static_cast<float>(row) * kWidth * 1.5F / 127;
    EXPECT_NEAR(close[row], exact[row], most / 4) << "row " << row;
  }
  EXPECT_EQ(close[0], 0.0F);
}

TEST_F(GuessRouters, HaveNumbersOnly) {
  const float infinity = std::numeric_limits<float>::infinity();
  weights_[1] = std::numeric_limits<float>::quiet_NaN();
  weights_[kWidth] = infinity;
  weights_[kWidth + 1] = -infinity;
  weights_[2 * kWidth] = std::numeric_limits<float>::max();
  const storage::MatrixView copy =
      MakeGuessRouter(compute_, Router(), copy_.data());
  const std::vector<float> scores = Scores(copy);
  EXPECT_EQ(scores[0], 0.0F) << "what is no number counts as 0";
  EXPECT_TRUE(std::isfinite(scores[1]));
  EXPECT_TRUE(std::isfinite(scores[3])) << "other rows are as they were";
}

TEST_F(GuessRouters, AreTheRoutersWhereThoseAreSmallOrUneven) {
  storage::MatrixView router = Router();
  router.columns = 48;
  EXPECT_EQ(MakeGuessRouter(compute_, router, copy_.data()).data, router.data);
  router = Router();
  router.type = storage::TensorType::kQ8_0;
  EXPECT_EQ(MakeGuessRouter(compute_, router, copy_.data()).data, router.data);
}

}  // namespace
}  // namespace sluice
