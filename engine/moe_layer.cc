#include "engine/moe_layer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sluice {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};
constexpr std::size_t kWavePart = 8;  // experts
// Scores are normalised by their sum, but by no less than this.
constexpr float kLeastScoreSum = 0x1p-14F;

void Sigmoid(std::span<float> x) {
  for (float& v : x) v = 1.0F / (1.0F + std::exp(-v));
}

bool IsBase(const storage::ExpertView& expert) {
  return expert.gate.type == storage::TensorType::kPlane2 &&
         !expert.gate.has_residual();
}

}  // namespace

MoeLayer::MoeLayer(const Compute& compute, const ModelConfig& config,
                   ExpertSource& source, Workspace& work)
    : compute_(compute), config_(config), source_(source), work_(work) {
  experts_.reserve(config.experts);
  groups_.reserve(config.experts);
  given_.reserve(config.experts);
  group_of_.assign(config.experts, kNone);
  products_.reserve(2 * kWavePart);
}

Result<void> MoeLayer::Route(const LayerWeights& weights, std::uint16_t layer,
                             std::size_t tokens, std::span<const float> input) {
  compute_.clock.Enter(Phase::kRouter);
  layer_ = layer;
  work_.input.Set(input.data(), tokens, config_.embedding);
  const Product product = {
      .weights = &weights.router,
      .x = work_.input.For(compute_, weights.router, Precision::kPlain),
      .tokens = tokens,
      .y = work_.router_logits.data(),
      .y_stride = config_.experts};
  RunProducts(compute_, {&product, 1});
  compute_.pool.For(tokens, [&](std::size_t t) { RouteToken(t); });
  const std::size_t rows = tokens * config_.experts_used;
  if (observer_) {
    observer_(layer, work_.routed.first(rows), work_.row_weights.first(rows));
  }
  GroupByExpert(tokens);
  compute_.clock.Enter(Phase::kExperts);
  return source_.Begin({.layer = layer,
                        .experts = experts_,
                        .routes = work_.routed.first(rows),
                        .weights = work_.row_weights.first(rows),
                        .tokens = tokens});
}

// Tells the source what the next layers' routers say of this layer's input: the
// residual stream changes little from one layer to the next.
void MoeLayer::LookAhead(std::span<const LayerWeights> next,
                         std::uint16_t layer, std::size_t first,
                         std::size_t tokens) {
  compute_.clock.Enter(Phase::kRouter);
  std::size_t wanted = 0;  // layers whose scores are
  while (wanted < std::min(next.size(), kFarthestLookAhead) &&
         source_.WantsScores(wanted + 1)) {
    ++wanted;
  }
  const std::size_t sampled =
      wanted > 1 ? 1 : std::min(tokens, work_.ahead_rows);
  const std::span<float> scores =
      wanted > 0 ? ScoresAhead(next.first(wanted), first, tokens, sampled)
                 : std::span<float>();
  for (std::size_t i = 0; i < std::max<std::size_t>(wanted, 1); ++i) {
    const std::size_t size = sampled * config_.experts;
    source_.Foresee({.layer = static_cast<std::uint16_t>(layer + i),
                     .distance = i + 1,
                     .tokens = tokens,
                     .sampled = sampled,
                     .scores = i < wanted ? scores.subspan(i * size, size)
                                          : std::span<float>()});
  }
}

// The probabilities of the next layers' routers for `sampled` of the tokens
// [first, first + tokens), evenly spread: [layers, sampled, experts].
std::span<float> MoeLayer::ScoresAhead(std::span<const LayerWeights> next,
                                       std::size_t first, std::size_t tokens,
                                       std::size_t sampled) {
  const std::size_t width = config_.embedding;
  const std::size_t rows = next.size() * sampled;
  float* const normed = work_.projected.data();  // free until Combine
  const std::span<float> scores =
      work_.ahead_scores.first(rows * config_.experts);
  compute_.pool.For(rows, [&](std::size_t row) {
    const std::size_t i = row % sampled;
    const std::size_t t = first + (i + 1) * tokens / sampled - 1;
    const float* const x = &work_.x[t * width];
    if (config_.router_input == RouterInput::kLayerInput) {
      std::copy_n(x, width, normed + row * width);
      return;
    }
    compute_.kernels.rms_norm(x, next[row / sampled].ffn_norm.data(), width,
                              config_.rms_epsilon, normed + row * width);
  });
  work_.ahead_input.Set(normed, rows, width);
  products_.clear();
  for (std::size_t i = 0; i < next.size(); ++i) {
    ActivationView x = work_.ahead_input.For(compute_, next[i].guess_router,
                                             Precision::kPlain);
    x.data += i * sampled * x.stride;
    products_.push_back({.weights = &next[i].guess_router,
                         .x = x,
                         .tokens = sampled,
                         .y = &scores[i * sampled * config_.experts],
                         .y_stride = config_.experts});
  }
  RunProducts(compute_, products_);
  compute_.pool.For(rows, [&](std::size_t row) {
    compute_.kernels.softmax(&scores[row * config_.experts], config_.experts);
  });
  return scores;
}

Result<void> MoeLayer::Run(std::size_t tokens) {
  compute_.clock.Enter(Phase::kExperts);
  work_.input.Set(work_.normed.data(), tokens, config_.embedding);
  given_.assign(groups_.size(), 0);
  while (true) {
    SLUICE_ASSIGN(std::span<const ReadyExpert> wave, source_.NextWave());
    if (wave.empty()) break;
    for (const ReadyExpert& expert : wave) given_[expert.index] = 1;
    // In parts, so that reads are attended to while a long wave is computed.
    while (!wave.empty()) {
      const std::size_t part = std::min(wave.size(), kWavePart);
      SLUICE_TRY(RunWave(wave.first(part), tokens));
      wave = wave.subspan(part);
    }
  }
  Combine(tokens);
  return {};
}

// Top-k of the gated logits, ties to the lower id, weights normalised to sum 1.
void MoeLayer::RouteToken(std::size_t t) {
  const std::size_t used = config_.experts_used;
  float* const scores = &work_.router_logits[t * config_.experts];
  std::uint16_t* const ids = &work_.routed[t * used];
  float* const weights = &work_.row_weights[t * used];
  if (config_.gating == Gating::kSoftmax) {
    compute_.kernels.softmax(scores, config_.experts);
  } else {
    Sigmoid({scores, config_.experts});
  }
  float sum = 0;
  for (std::size_t rank = 0; rank < used; ++rank) {
    std::size_t best = 0;
    for (std::size_t e = 1; e < config_.experts; ++e) {
      if (scores[e] > scores[best]) best = e;
    }
    ids[rank] = static_cast<std::uint16_t>(best);
    weights[rank] = scores[best];
    sum += scores[best];
    scores[best] = -1.0F;  // taken; scores are at least 0
  }
  sum = std::max(sum, kLeastScoreSum);
  for (std::size_t rank = 0; rank < used; ++rank) weights[rank] /= sum;
}

// Lists the distinct experts in order of first use and gives each its rows.
void MoeLayer::GroupByExpert(std::size_t tokens) {
  const std::size_t rows = tokens * config_.experts_used;
  for (const std::uint16_t expert : experts_) group_of_[expert] = kNone;
  experts_.clear();
  groups_.clear();
  for (std::size_t i = 0; i < rows; ++i) {
    const std::uint16_t expert = work_.routed[i];
    if (group_of_[expert] == kNone) {
      group_of_[expert] = static_cast<std::uint32_t>(experts_.size());
      experts_.push_back(expert);
      groups_.push_back({});
    }
    ++groups_[group_of_[expert]].count;
  }
  std::uint32_t next = 0;
  for (Group& group : groups_) {
    group.begin = next;
    next += group.count;
    group.count = 0;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    Group& group = groups_[group_of_[work_.routed[i]]];
    const std::uint32_t row = group.begin + group.count++;
    work_.row_of[i] = row;
    work_.token_of[row] = static_cast<std::uint32_t>(i / config_.experts_used);
  }
}

Result<void> MoeLayer::RunWave(std::span<const ReadyExpert> wave,
                               std::size_t tokens) {
  const storage::ExpertView& shapes = wave.front().weights;
  InputLayout layout;
  layout.gate = work_.input.For(compute_, shapes.gate, Precision::kPlain);
  layout.up = work_.input.For(compute_, shapes.up, Precision::kPlain);
  layout.shared = layout.gate.data == layout.up.data;
  layout.stride = layout.gate.stride + (layout.shared ? 0 : layout.up.stride);
  const bool gathered = tokens > 1;
  if (gathered) Gather(wave, layout);
  GateAndUp(wave, layout, gathered);
  SLUICE_TRY(source_.Advance());
  ActivateAndDown(wave);
  for (const ReadyExpert& expert : wave) {
    if (IsBase(expert.weights)) base_uses_ += groups_[expert.index].count;
  }
  if (input_observer_) ShowInputs(wave);
  return {};
}

void MoeLayer::ShowInputs(std::span<const ReadyExpert> wave) const {
  const std::size_t width = config_.embedding;
  const std::size_t ff = config_.expert_ff;
  for (const ReadyExpert& expert : wave) {
    const Group& group = groups_[expert.index];
    for (std::uint32_t i = 0; i < group.count; ++i) {
      const std::size_t row = group.begin + i;
      input_observer_({layer_, experts_[expert.index]},
                      work_.normed.subspan(work_.token_of[row] * width, width),
                      work_.gate.subspan(row * ff, ff));
    }
  }
}

// Copies the quantised inputs of the wave's rows next to each other.
void MoeLayer::Gather(std::span<const ReadyExpert> wave,
                      const InputLayout& layout) {
  compute_.pool.For(wave.size(), [&](std::size_t i) {
    const Group& group = groups_[wave[i].index];
    for (std::uint32_t row = group.begin; row < group.begin + group.count;
         ++row) {
      const std::size_t t = work_.token_of[row];
      std::byte* const out = work_.gathered.data() + row * layout.stride;
      std::memcpy(out, layout.gate.data + t * layout.gate.stride,
                  layout.gate.stride);
      if (layout.shared) continue;
      std::memcpy(out + layout.gate.stride,
                  layout.up.data + t * layout.up.stride, layout.up.stride);
    }
  });
}

void MoeLayer::GateAndUp(std::span<const ReadyExpert> wave,
                         const InputLayout& layout, bool gathered) {
  const std::size_t ff = config_.expert_ff;
  products_.clear();
  for (const ReadyExpert& expert : wave) {
    const Group& group = groups_[expert.index];
    ActivationView gate_input = layout.gate;
    ActivationView up_input = layout.up;
    if (gathered) {
      gate_input = {work_.gathered.data() + group.begin * layout.stride,
                    layout.stride};
      up_input = gate_input;
      if (!layout.shared) up_input.data += layout.gate.stride;
    }
    products_.push_back({.weights = &expert.weights.gate,
                         .x = gate_input,
                         .tokens = group.count,
                         .y = &work_.gate[group.begin * ff],
                         .y_stride = ff});
    products_.push_back({.weights = &expert.weights.up,
                         .x = up_input,
                         .tokens = group.count,
                         .y = &work_.up[group.begin * ff],
                         .y_stride = ff});
  }
  RunProducts(compute_, products_);
}

void MoeLayer::ActivateAndDown(std::span<const ReadyExpert> wave) {
  const std::size_t ff = config_.expert_ff;
  const std::size_t width = config_.embedding;
  const auto format = FormatFor(wave.front().weights.down);
  const bool plain = format == kernels::ActivationFormat::kF32;
  const std::size_t stride =
      plain ? ff * sizeof(float) : kernels::ActivationBytes(format, ff);
  std::byte* const hidden =
      plain ? reinterpret_cast<std::byte*>(work_.gate.data())
            : work_.hidden.data();

  std::size_t wave_rows = 0;
  products_.clear();
  for (const ReadyExpert& expert : wave) {
    const Group& group = groups_[expert.index];
    for (std::uint32_t i = 0; i < group.count; ++i) {
      work_.wave_rows[wave_rows++] = group.begin + i;
    }
    products_.push_back({.weights = &expert.weights.down,
                         .x = {hidden + group.begin * stride, stride},
                         .tokens = group.count,
                         .y = &work_.expert_out[group.begin * width],
                         .y_stride = width});
  }
  const auto activate = config_.activation == Activation::kSilu
                            ? compute_.kernels.swiglu
                            : compute_.kernels.reglu;
  compute_.pool.For(wave_rows, [&](std::size_t i) {
    const std::size_t row = work_.wave_rows[i];
    float* const gate = &work_.gate[row * ff];
    activate(gate, &work_.up[row * ff], ff, gate);
    if (!plain) {
      compute_.kernels.quantize[static_cast<std::size_t>(format)](
          gate, ff, hidden + row * stride);
    }
  });
  RunProducts(compute_, products_);
}

// x += sum over ranks of weight * row, in rank order. An expert that was left
// out adds nothing, and the weights of the others stay as they are.
void MoeLayer::Combine(std::size_t tokens) {
  const std::size_t width = config_.embedding;
  const std::size_t used = config_.experts_used;
  compute_.pool.For(tokens, [&](std::size_t t) {
    float* const sum = &work_.projected[t * width];
    std::fill_n(sum, width, 0.0F);
    for (std::size_t rank = 0; rank < used; ++rank) {
      const std::size_t i = t * used + rank;
      if (!Given(i)) continue;
      compute_.kernels.axpy(work_.row_weights[i],
                            &work_.expert_out[work_.row_of[i] * width], width,
                            sum);
    }
    compute_.kernels.add(sum, width, &work_.x[t * width]);
  });
}

}  // namespace sluice
