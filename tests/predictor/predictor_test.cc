#include "predictor/predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "predictor/transition_learner.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr RouterShape kShape = {.layers = 3, .experts = 8, .experts_used = 2};

std::unique_ptr<Predictor> Make(PredictorKind kind) {
  PredictorOptions options;
  if (kind == PredictorKind::kTransition) {
    options.table = TransitionLearner(kShape).Table();
  }
  return MakePredictor(kind, kShape, std::move(options));
}

TEST(Predictor, NamesAreParsedBack) {
  EXPECT_THAT(PredictorNames(),
              ElementsAre("none", "exact", "next-layer", "previous",
                          "frequency", "transition"));
  for (const std::string_view name : PredictorNames()) {
    const auto kind = ParsePredictor(name);
    ASSERT_TRUE(kind.has_value()) << name;
    EXPECT_EQ(PredictorName(*kind), name);
    const auto predictor = Make(*kind);
    if (*kind == PredictorKind::kNone) {
      EXPECT_EQ(predictor, nullptr);
    } else {
      EXPECT_EQ(predictor->name(), name);
    }
  }
  EXPECT_FALSE(ParsePredictor("Previous").has_value());
  EXPECT_FALSE(ParsePredictor("").has_value());
}

// What every predictor promises.
class AnyPredictor : public ::testing::TestWithParam<PredictorKind> {
 protected:
  // One layer of one token, as the engine does it.
  void Step(std::uint16_t layer, const std::vector<std::uint16_t>& routed) {
    for (const std::size_t distance : {1U, 0U}) {
      if (!predictor_->WantsScores(distance)) continue;
      std::vector<float> scores(kShape.experts, 0.01F);
      for (const std::uint16_t e : routed) scores[e] += 0.3F;
      predictor_->ObserveScores(layer, distance, scores);
    }
    predictor_->Predict(layer, guesses_);
    predictor_->Observe(layer, routed);
  }

  std::unique_ptr<Predictor> predictor_ = Make(GetParam());
  std::vector<Guess> guesses_;
};

TEST_P(AnyPredictor, KnowsNothingAtTheBeginningOfASequence) {
  for (int token = 0; token < 5; ++token) {
    for (std::uint16_t layer = 0; layer < 3; ++layer) Step(layer, {1, 2});
  }
  predictor_->BeginSequence();
  for (std::uint16_t layer = 0; layer < 3; ++layer) {
    predictor_->Predict(layer, guesses_);
    EXPECT_THAT(guesses_, IsEmpty()) << layer;
  }
}

TEST_P(AnyPredictor, RanksDistinctExpertsByConfidence) {
  for (int token = 0; token < 50; ++token) {
    for (std::uint16_t layer = 0; layer < 3; ++layer) {
      const auto a = static_cast<std::uint16_t>((token + layer) % 3);
      Step(layer, {a, static_cast<std::uint16_t>(a + 2 + token % 2)});
      std::set<std::uint16_t> seen;
      float last = 1.001F;
      EXPECT_LE(guesses_.size(), kShape.guesses());
      for (const Guess& guess : guesses_) {
        EXPECT_LT(guess.expert, kShape.experts);
        EXPECT_TRUE(seen.insert(guess.expert).second) << guess.expert;
        EXPECT_GE(guess.confidence, 0.0F);
        EXPECT_LE(guess.confidence, last);
        last = guess.confidence;
      }
    }
  }
  EXPECT_FALSE(guesses_.empty());
}

TEST_P(AnyPredictor, IsSureOfWhatNeverChanges) {
  for (int token = 0; token < 200; ++token) {
    for (std::uint16_t layer = 0; layer < 3; ++layer) Step(layer, {5, 3});
  }
  ASSERT_GE(guesses_.size(), 2U);
  EXPECT_EQ(guesses_[0].expert + guesses_[1].expert, 5 + 3);
  EXPECT_GT(guesses_[1].confidence, 0.9F);
}

INSTANTIATE_TEST_SUITE_P(Kinds, AnyPredictor,
                         ::testing::Values(PredictorKind::kExact,
                                           PredictorKind::kNextLayer,
                                           PredictorKind::kPrevious,
                                           PredictorKind::kFrequency,
                                           PredictorKind::kTransition),
                         [](const auto& kind) {
                           std::string name(PredictorName(kind.param));
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace sluice
