#include "engine/predictor_training.h"

#include <fmt/format.h>

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/predictor_file.h"
#include "predictor/predictor.h"
#include "predictor/scored_predictor.h"
#include "predictor/transition_learner.h"

namespace sluice {

struct PredictorTrainer::State {
  explicit State(const RouterShape& routers)
      : shape(routers), learner(routers), chunk(routers.layers) {}

  void Score(const RoutedChunk& routed);

  RouterShape shape;
  TransitionLearner learner;
  std::optional<TransitionTable> table;  // once scoring
  std::optional<ScoredPredictor> scored;
  std::size_t scored_tokens = 0;
  // [layers]: the experts of the chunk that is being observed
  std::vector<std::vector<std::uint16_t>> chunk;
};

// A predictor is asked token by token, as in decoding, so the chunk must have
// been through all layers first. Tokens that did not go through the last one
// are left out.
void PredictorTrainer::State::Score(const RoutedChunk& routed) {
  if (routed.layer == 0 && routed.position == 0) scored->BeginSequence();
  chunk[routed.layer].assign(routed.experts.begin(), routed.experts.end());
  if (routed.layer + 1U < shape.layers) return;
  const std::size_t used = shape.experts_used;
  for (std::size_t left = routed.tokens; left > 0; --left) {
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
      const std::span<const std::uint16_t> experts = chunk[layer];
      scored->Observe(static_cast<std::uint16_t>(layer),
                      experts.last(left * used).first(used));
    }
  }
  scored_tokens += routed.tokens;
}

Result<PredictorTrainer> PredictorTrainer::Create(const ModelReport& model) {
  const RouterShape shape = {.layers = model.layers,
                             .experts = model.experts,
                             .experts_used = model.experts_used};
  if (!TransitionTable::Fits(shape)) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{} layers of {} experts are too many for a table "
                            "of all pairs; use another predictor",
                            model.layers, model.experts));
  }
  return PredictorTrainer(std::make_unique<State>(shape));
}

PredictorTrainer::PredictorTrainer(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
PredictorTrainer::PredictorTrainer(PredictorTrainer&&) noexcept = default;
PredictorTrainer& PredictorTrainer::operator=(PredictorTrainer&&) noexcept =
    default;
PredictorTrainer::~PredictorTrainer() = default;

std::uint64_t PredictorTrainer::memory_bytes() const {
  const RouterShape& shape = state_->shape;
  const std::uint64_t cells = std::uint64_t{shape.layers} * shape.experts;
  // Four bytes to count a pair; one each in the table, in its copy that is
  // scored, and twice in the file being made. A cell has some thirty.
  return cells * shape.experts * 8 + cells * 64;
}

void PredictorTrainer::Observe(const RoutedChunk& chunk) {
  if (state_->scored) {
    state_->Score(chunk);
    return;
  }
  if (chunk.layer == 0 && chunk.position == 0) {
    state_->learner.BeginSequence();
  }
  state_->learner.Observe(chunk.layer, chunk.experts);
}

void PredictorTrainer::BeginScoring() {
  state_->table = state_->learner.Table();
  state_->scored.emplace(MakePredictor(PredictorKind::kTransition,
                                       state_->shape, {.table = state_->table}),
                         state_->shape);
}

std::size_t PredictorTrainer::tokens() const {
  return state_->learner.tokens();
}

std::size_t PredictorTrainer::scored_tokens() const {
  return state_->scored_tokens;
}

PredictorReport PredictorTrainer::report() const {
  return DescribeScore(state_->scored->name(), state_->scored->score());
}

PredictorReport PredictorTrainer::control() const {
  return DescribeScore(PredictorName(PredictorKind::kFrequency),
                       state_->scored->control());
}

std::string PredictorTrainer::File() const {
  const std::vector<std::byte> bytes = EncodePredictorFile(*state_->table);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace sluice
