#include "engine/column_importance.h"

#include <algorithm>
#include <bit>
#include <memory>

#include <fmt/format.h>

#include "engine/engine_impl.h"
#include "engine/model_file.h"
#include "engine/size_text.h"

namespace sluice {
namespace {

constexpr std::size_t kWindow = 256;
// Tokens that the mean of the layer counts as.
constexpr double kLayerWeight = 32;

void AddSquares(std::span<const float> x, std::vector<double>& sums) {
  for (std::size_t i = 0; i < x.size(); ++i) sums[i] += double{x[i]} * x[i];
}

// To run the model beside the sums of its columns.
Result<EngineOptions> OptionsBeside(const std::string& path) {
  SLUICE_ASSIGN(const ModelFile model, ModelFile::Open(path));
  const ModelConfig& config = model.config;
  const std::uint64_t sums = ColumnImportance::Bytes(
      config.layers, config.experts, config.embedding, config.expert_ff);
  const std::uint64_t memory = AvailableMemory();
  if (sums >= memory) {
    return Fail(ErrorCode::kNoMemory,
                fmt::format("{}: measuring its columns takes {} and {} are "
                            "available; repack it without --calibrate",
                            path, FormatSize(sums), FormatSize(memory)));
  }
  EngineOptions options;
  options.memory_bytes = memory - sums;
  options.context = std::min<std::size_t>(kWindow, config.context);
  return options;
}

// Fowler, Noll and Vo's hash (FNV-1a), by words.
std::uint64_t Mix(std::uint64_t hash, std::uint64_t word) {
  return (hash ^ word) * 0x100000001B3U;
}

}  // namespace

std::uint64_t ColumnImportance::Bytes(std::uint64_t layers,
                                      std::uint64_t experts,
                                      std::uint64_t embedding,
                                      std::uint64_t ff) {
  return layers * (experts + 1) *
         (sizeof(Sums) + (embedding + ff) * sizeof(double));
}

ColumnImportance::ColumnImportance(std::uint32_t layers, std::uint32_t experts,
                                   std::size_t embedding, std::size_t ff)
    : experts_(experts) {
  const Sums none = {0, std::vector<double>(embedding),
                     std::vector<double>(ff)};
  sums_.assign(std::size_t{layers} * experts, none);
  layers_.assign(layers, none);
}

void ColumnImportance::Add(ExpertId id, std::span<const float> input,
                           std::span<const float> hidden) {
  for (Sums* sums : {&sums_[Index(id)], &layers_[id.layer]}) {
    ++sums->tokens;
    AddSquares(input, sums->input);
    AddSquares(hidden, sums->hidden);
  }
}

std::vector<float> ColumnImportance::Of(ExpertId id, std::size_t part) const {
  const Sums& own = sums_[Index(id)];
  const Sums& layer = layers_[id.layer];
  const std::vector<double>& sums = part == 2 ? own.hidden : own.input;
  const std::vector<double>& all = part == 2 ? layer.hidden : layer.input;
  std::vector<float> out(sums.size(), 1.0F);
  const double total = std::max(1.0, static_cast<double>(layer.tokens));
  const double tokens = static_cast<double>(own.tokens) + kLayerWeight;
  double sum = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    sum += (sums[i] + kLayerWeight * all[i] / total) / tokens;
  }
  const double mean = sum / static_cast<double>(out.size());
  if (!(mean > 0)) return out;
  // A column that was never used still counts for something.
  constexpr double kLeast = 1e-3;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double square = (sums[i] + kLayerWeight * all[i] / total) / tokens;
    out[i] = static_cast<float>(std::max(square / mean, kLeast));
  }
  return out;
}

std::uint64_t ColumnImportance::Hash() const {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const Sums& sums : sums_) {
    hash = Mix(hash, sums.tokens);
    for (const std::vector<double>* values : {&sums.input, &sums.hidden}) {
      for (const double value : *values) {
        hash = Mix(hash, std::bit_cast<std::uint64_t>(value));
      }
    }
  }
  return hash;
}

Result<ColumnImportance> MeasureImportance(
    const std::string& path, std::string_view text,
    const std::function<bool(std::size_t, std::size_t)>& progress) {
  SLUICE_ASSIGN(const EngineOptions options, OptionsBeside(path));
  SLUICE_ASSIGN(const auto engine, EngineImpl::Load(path, options));
  const ModelConfig& config = engine->config();
  ColumnImportance importance(config.layers, config.experts, config.embedding,
                              config.expert_ff);
  engine->transformer().ObserveInputs(
      [&importance](ExpertId id, std::span<const float> input,
                    std::span<const float> hidden) {
        importance.Add(id, input, hidden);
      });
  SLUICE_ASSIGN(const auto session, engine->NewSession());
  const std::vector<TokenId> tokens =
      engine->tokenizer().Encode(text, {.add_special = false});
  SLUICE_TRY(Perplexity(*session, tokens, options.context, progress));
  return importance;
}

}  // namespace sluice
