#include "engine/predictor_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "predictor/predictor.h"
#include "predictor/predictor_score.h"
#include "predictor/transition_learner.h"

namespace sluice {
namespace {

constexpr std::array kReplayed = {
    PredictorKind::kPrevious, PredictorKind::kFrequency,
    PredictorKind::kTransition, PredictorKind::kExact};
constexpr std::size_t kFewestTokens = 4;

// One layer's experts of a token, by rank.
struct Routing {
  std::uint16_t layer = 0;
  std::span<const std::uint16_t> experts;
};

struct Token {
  bool begins_text = false;
  std::vector<Routing> layers;  // in order; some may be missing
};

// The trace token by token, as in decoding. It has chunks layer by layer.
std::vector<Token> TokensOf(const RoutingTrace& trace) {
  std::size_t text = 0;
  std::map<std::pair<std::size_t, std::size_t>, Token> by_place;
  for (const RoutingVisit& visit : trace.visits) {
    if (visit.layer == 0 && visit.token == 0) ++text;
    const auto experts = trace.ExpertsOf(visit);
    for (std::size_t t = 0; t < visit.tokens; ++t) {
      by_place[{text, visit.token + t}].layers.push_back(
          {visit.layer, experts.subspan(t * trace.used, trace.used)});
    }
  }
  std::vector<Token> tokens;
  std::optional<std::size_t> last_text;
  for (auto& [place, token] : by_place) {
    token.begins_text = last_text != place.first;
    last_text = place.first;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

TransitionTable Learn(std::span<const Token> tokens, const RouterShape& shape) {
  TransitionLearner learner(shape);
  for (const Token& token : tokens) {
    if (token.begins_text) learner.BeginSequence();
    for (const Routing& routing : token.layers) {
      learner.Observe(routing.layer, routing.experts);
    }
  }
  return learner.Table();
}

// Scores that make a router pick `experts`.
void Foretell(const Routing& routing, std::vector<float>& scores) {
  std::fill(scores.begin(), scores.end(), 0.0F);
  float score = 1;
  for (const std::uint16_t expert : routing.experts) {
    scores[expert] = score;
    score /= 2;
  }
}

PredictorReport Score(std::span<const Token> tokens, const RouterShape& shape,
                      Predictor& predictor) {
  PredictorScore score(shape);
  std::vector<Guess> guesses;
  std::vector<float> scores(shape.experts);
  for (const Token& token : tokens) {
    if (token.begins_text) predictor.BeginSequence();
    for (const Routing& routing : token.layers) {
      if (predictor.WantsScores(0)) {
        Foretell(routing, scores);
        predictor.ObserveScores(routing.layer, 0, scores);
      }
      predictor.Predict(routing.layer, guesses);
      score.Count(guesses, routing.experts);
      predictor.Observe(routing.layer, routing.experts);
    }
  }
  return DescribeScore(predictor.name(), score);
}

Result<std::vector<PredictorKind>> KindsOf(std::string_view name) {
  if (name == "all") return std::vector(kReplayed.begin(), kReplayed.end());
  std::string names = "all";
  for (const PredictorKind kind : kReplayed) {
    if (PredictorName(kind) == name) return std::vector{kind};
    names += fmt::format(", {}", PredictorName(kind));
  }
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("the predictor '{}' cannot be replayed; give one of "
                          "{}",
                          name, names));
}

}  // namespace

Result<std::vector<PredictorReport>> ScorePredictors(const RoutingTrace& trace,
                                                     std::string_view name) {
  SLUICE_ASSIGN(const std::vector<PredictorKind> kinds, KindsOf(name));
  const RouterShape shape = {.layers = trace.shape.layers,
                             .experts = trace.shape.experts,
                             .experts_used = trace.used};
  const std::vector<Token> tokens = TokensOf(trace);
  if (tokens.size() < kFewestTokens) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("a trace of {} tokens is too short to learn from "
                            "one half and guess the other; record a longer one",
                            tokens.size()));
  }
  const auto first = std::span(tokens).first(tokens.size() / 2);
  const auto second = std::span(tokens).subspan(first.size());
  std::vector<PredictorReport> reports;
  for (const PredictorKind kind : kinds) {
    PredictorOptions options;
    if (kind == PredictorKind::kTransition) {
      if (!TransitionTable::Fits(shape)) {
        return Fail(ErrorCode::kUnsupported,
                    fmt::format("{} layers of {} experts are too many for a "
                                "table of all pairs; name another predictor",
                                shape.layers, shape.experts));
      }
      options.table = Learn(first, shape);
    }
    const auto predictor = MakePredictor(kind, shape, std::move(options));
    reports.push_back(Score(second, shape, *predictor));
  }
  return reports;
}

}  // namespace sluice
